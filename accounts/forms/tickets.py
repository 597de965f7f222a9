"""The forms in which members write to our support."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts import attachments, tickets
from accounts.attachments import Sent


class _Files(forms.FileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """As many files as somebody chose, as `Sent`; what is in them is checked later."""

    widget = _Files

    def clean(self, data: Any, initial: Any = None) -> list[Sent]:
        files = [super(FilesField, self).clean(each, initial) for each in data or []]
        return [Sent(str(file.name), file.read()) for file in files]


class ReplyForm(forms.Form):
    """Something more to say."""

    text = forms.CharField(
        label=_("Message"),
        max_length=tickets.TEXT_LENGTH_MAX,
        widget=forms.Textarea(attrs={"rows": 6}),
    )
    attachments = FilesField(
        label=_("Files"),
        required=False,
        help_text=_("Up to three pictures (JPEG, PNG) or PDFs, 5 MB each."),
        # upload.js looks at the limits.
        widget=_Files(
            attrs={
                "accept": ".jpg,.jpeg,.png,.pdf",
                "data-bytes-max": str(attachments.BYTES_MAX),
                "data-files-max": str(attachments.FILES_MAX),
            }
        ),
    )


class TicketForm(ReplyForm):
    """A new question."""

    subject = forms.CharField(
        label=_("Subject"),
        max_length=tickets.SUBJECT_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("subject", "text", "attachments")
