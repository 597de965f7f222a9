"""The forms of the identity check: the member's steps, and an operator's verdict."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from accounts import countries, documents, identity, pictures, reviews
from accounts.documents import Paper, Part
from accounts.identity import PersonalData, Upload
from accounts.models.identity import IdentityDocument

_DATE = "%Y-%m-%d"
_ACCEPT = "image/jpeg,image/png,image/webp,application/pdf"


def _date(label: Any, help_text: Any = "", **attrs: str) -> forms.DateField:
    widget = forms.DateInput(format=_DATE, attrs={"type": "date", **attrs})
    return forms.DateField(
        label=label, help_text=help_text, input_formats=[_DATE], widget=widget
    )


def _country(label: Any, **attrs: str) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=lambda: [("", "–"), *countries.choices()],
        widget=forms.Select(attrs=attrs),
    )


def _file(label: Any, *, required: bool = True, **attrs: str) -> forms.FileField:
    # upload.js looks at data-bytes-max.
    attrs |= {"accept": _ACCEPT, "data-bytes-max": str(pictures.BYTES_MAX)}
    return forms.FileField(
        label=label,
        required=required,
        allow_empty_file=True,  # the verb says what to do about it
        help_text=_("JPEG, PNG, WebP or PDF, up to 8 MB."),
        widget=forms.FileInput(attrs=attrs),
    )


def _kinds(part: IdentityDocument.Part) -> list[tuple[str, Any]]:
    return [(kind.value, kind.label) for kind in documents.KINDS[part]]


class PersonalDataForm(forms.Form):
    """Who somebody is, as it stands in their document."""

    full_name = forms.CharField(
        label=_("Full name"),
        help_text=_("As it stands in your identity document."),
        max_length=identity.NAME_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    birth_on = _date(_("Date of birth"), autocomplete="bday")
    nationality = _country(_("Nationality"))
    address_1 = forms.CharField(
        label=_("Address"),
        max_length=identity.LINE_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "address-line1"}),
    )
    address_2 = forms.CharField(
        label=_("Address, second line"),
        required=False,
        max_length=identity.LINE_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "address-line2"}),
    )
    city = forms.CharField(
        label=_("City"),
        max_length=identity.NAME_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "address-level2"}),
    )
    postal_code = forms.CharField(
        label=_("Postal code"),
        max_length=identity.POSTAL_CODE_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "postal-code"}),
    )
    country = _country(_("Country you live in"), autocomplete="country")

    def data_given(self) -> PersonalData:
        """Return what was filled in, once the form is valid."""
        return PersonalData(**self.cleaned_data)


class IdentityDocumentForm(forms.Form):
    """An identity document, of one or two sides."""

    part = Part.IDENTITY

    kind = forms.ChoiceField(label=_("Document"), choices=_kinds(Part.IDENTITY))
    number = forms.CharField(
        label=_("Number of the document"),
        max_length=identity.NUMBER_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    expires_on = _date(_("Valid until"))
    front = _file(_("Picture of the front"), capture="environment")
    back = _file(
        _("Picture of the back, where there is one"),
        required=False,
        capture="environment",
    )

    def paper(self) -> Paper:
        """Return what was said of the document, once the form is valid."""
        return Paper(
            part=self.part,
            kind=IdentityDocument.Kind(self.cleaned_data["kind"]),
            number=self.cleaned_data["number"],
            expires_on=self.cleaned_data["expires_on"],
        )

    def uploads(self) -> list[Upload]:
        return _uploads(self.cleaned_data["front"], self.cleaned_data["back"])


class AddressDocumentForm(forms.Form):
    """Something that came by mail to where somebody lives."""

    part = Part.ADDRESS

    kind = forms.ChoiceField(label=_("Document"), choices=_kinds(Part.ADDRESS))
    front = _file(_("Picture or PDF"))

    def paper(self) -> Paper:
        """Return what was said of the document, once the form is valid."""
        kind = IdentityDocument.Kind(self.cleaned_data["kind"])
        return Paper(part=self.part, kind=kind)

    def uploads(self) -> list[Upload]:
        return _uploads(self.cleaned_data["front"])


class OpeningForm(forms.Form):
    """Why an operator must see a case."""

    reason = forms.CharField(label=_("Reason"), max_length=reviews.REASON_LENGTH_MAX)


class VerdictForm(forms.Form):
    """An operator's word on one document."""

    verdict = forms.ChoiceField(
        label=_("Verdict"),
        choices=[
            ("", "–"),
            ("accept", _("Accept")),
            *((f"reject:{each.value}", each.label) for each in IdentityDocument.Reason),
        ],
    )
    note = forms.CharField(
        label=_("Note to the member, shown on the page only"),
        required=False,
        max_length=reviews.NOTE_LENGTH_MAX,
    )

    def given(self) -> reviews.Verdict:
        """Return the verdict, once the form is valid."""
        _word, _colon, reason = self.cleaned_data["verdict"].partition(":")
        return reviews.Verdict(
            IdentityDocument.Reason(reason) if reason else None,
            self.cleaned_data["note"],
        )


def _uploads(*files: UploadedFile[bytes] | None) -> list[Upload]:
    return [Upload(file.name or "", file.read()) for file in files if file is not None]
