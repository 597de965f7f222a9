"""Bank money: channels, statements and their lines, and withdrawals the bank pays."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from accounts import members
from accounts.models.members import Member
from exchange.lib import audit, money
from exchange.lib.admin import Kept, Queue, ReadOnly, Reason, may, reasoned
from exchange.lib.errors import ExchangeError
from wallets.bank import lines, statements, transfers
from wallets.bank.statements import Line, amount_of
from wallets.models.bank import (
    BankChannel,
    BankLine,
    BankReference,
    BankStatement,
    BankTransfer,
    BankWithdrawal,
)

_SALT = "wallets.bank.statement"
_KEPT_SECONDS = 3600  # from the look at a file to its reading in
_SHOWN = 50  # lines of a file, in the look at it


class Assignment(Reason):
    """Whose money it is, and how we know."""

    email = forms.EmailField(label=_("E-mail address of the member"))


class BankNumber(Reason):
    """The number by which the bank knows the transfer."""

    bank_txid = forms.CharField(max_length=64, label=_("The bank's number"))


class Taking(Reason):
    """By which channel it is to be paid."""

    channel = forms.ModelChoiceField(
        label=_("Channel"),
        queryset=BankChannel.objects.filter(pays_withdrawals=True).order_by("name"),
    )


class StatementForm(forms.Form):
    """A file to look at first; what was looked at comes back signed, to be read in."""

    channel = forms.ModelChoiceField(
        label=_("Channel"), queryset=BankChannel.objects.order_by("name")
    )
    file = forms.FileField(label=_("Statement (CSV)"))


class LineForm(forms.Form):
    """One line, as somebody reads it off the bank's page."""

    channel = forms.ModelChoiceField(
        label=_("Channel"), queryset=BankChannel.objects.order_by("name")
    )
    bank_txid = forms.CharField(label=_("The bank's number"), max_length=64)
    booked_on = forms.DateField(
        label=_("Booked on"), widget=forms.DateInput(attrs={"type": "date"})
    )
    amount = forms.CharField(
        label=_("Amount"),
        max_length=40,
        help_text=_("With a point; money that left begins with a minus."),
    )
    payer = forms.CharField(label=_("Payer"), max_length=140, required=False)
    payer_account = forms.CharField(
        label=_("The payer's account"), max_length=64, required=False
    )
    text = forms.CharField(label=_("Text"), max_length=1000, required=False)

    def clean_amount(self) -> Decimal:
        try:
            return amount_of(self.cleaned_data["amount"], ".")
        except ExchangeError as error:
            raise forms.ValidationError(error.message) from error

    def line(self) -> tuple[BankChannel, Line]:
        values = dict(self.cleaned_data)
        booked_on: date = values["booked_on"]
        channel: BankChannel = values.pop("channel")
        return channel, Line(**values | {"booked_on": booked_on})


@admin.register(BankChannel)
class BankChannelAdmin(Kept):
    list_display = (
        *("name", "currency", "bank", "account", "takes_deposits"),
        *("pays_withdrawals", "is_practice"),
    )
    ordering = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Its lines are amounts of it.
        return () if obj is None else ("currency",)


@admin.register(BankReference)
class BankReferenceAdmin(ReadOnly):
    list_display = ("__str__", "channel", "member", "created_at")
    list_select_related = ("channel", "member")
    search_fields = ("=code", "=member__email", "member__sn")
    ordering = ("-pk",)


@admin.register(BankStatement)
class BankStatementAdmin(ReadOnly):
    list_display = ("id", "channel", "imported_by", "imported_at", "added", "known")
    list_filter = ("channel",)
    list_select_related = ("channel",)
    ordering = ("-pk",)


@admin.register(BankLine)
class BankLineAdmin(ReadOnly):
    list_display = (
        *("id", "channel", "booked_on", "amount", "state", "member"),
        *("transfer", "why_not", "payer", "text", "hint"),
    )
    list_filter = ("channel", "state")
    list_select_related = ("channel", "member", "suggestion", "transfer")
    search_fields = ("=bank_txid", "payer", "text", "=member__email", "member__sn")
    ordering = ("-pk",)
    actions = ("accept", "accept_all_the_same", "assign", "send_back", "ignore", "undo")
    change_list_template = "admin/wallets/bankline/list.html"
    queue = Queue(
        _("Bank lines to decide"),
        Q(state__in=["new", "matched"]),
        "?state__in=new,matched",
    )

    has_accept_permission = may("wallets.accept_bank_line")

    def actions_on(self, row: BankLine) -> tuple[str, ...]:
        if row.state == BankLine.State.CREDITED:
            return ("undo",)
        if row.state == BankLine.State.NEW:
            return ("assign", "send_back", "ignore")
        if row.state == BankLine.State.MATCHED:
            accepting = "accept_all_the_same" if row.doubts else "accept"
            return (accepting, "assign", "send_back", "ignore")
        return ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [*super().get_fields(request, obj), "why_not"]

    @admin.display(description=_("what speaks against it"))
    def why_not(self, row: BankLine) -> str:
        return " ".join(str(lines.DOUBTS[doubt]) for doubt in row.doubts)

    @admin.display(description=_("its account is in the address book of"))
    def hint(self, row: BankLine) -> str:
        return str(row.suggestion or "")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may_enter = self.has_accept_permission(request)
        context = {"may_enter": may_enter, **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_urls(self) -> list[URLPattern]:
        inside = self.admin_site.admin_view
        ours = [
            path("import/", inside(self.import_view), name="wallets_bankline_import"),
            path("enter/", inside(self.enter_view), name="wallets_bankline_enter"),
        ]
        return [*ours, *super().get_urls()]

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Look at a file, then read in what was looked at."""
        if not self.has_accept_permission(request):
            raise PermissionDenied
        if "seen" in request.POST:
            return self._read_in(request)
        form = StatementForm(request.POST or None, request.FILES or None)
        context: dict[str, Any] = {"form": form, "has_file": True}
        if form.is_valid():
            channel = form.cleaned_data["channel"]
            content = form.cleaned_data["file"].read(statements.BYTES_MAX + 1)
            try:
                seen = lines.preview(
                    channel=channel, content=content, now=timezone.now()
                )
            except ExchangeError as error:
                form.add_error("file", error.message)
            else:
                text = content.decode("utf-8")
                context |= {"seen": seen, "channel": channel}
                context["shown"] = seen.added[:_SHOWN]
                context["packed"] = signing.dumps(
                    [request.user.pk, channel.pk, text], salt=_SALT, compress=True
                )
        title = translated("Read in a statement")
        return self._page(request, "admin/wallets/bankline/import.html", title, context)

    def enter_view(self, request: HttpRequest) -> HttpResponse:
        """Write down one line."""
        if not self.has_accept_permission(request):
            raise PermissionDenied
        form = LineForm(request.POST or None)
        if form.is_valid():
            channel, line = form.line()
            try:
                row = lines.enter(
                    channel=channel, line=line, by=_actor(request), now=timezone.now()
                )
            except ExchangeError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, _("%(row)s: done.") % {"row": row})
                return redirect("admin:wallets_bankline_change", row.pk)
        title = translated("Write down a line")
        context = {"form": form}
        return self._page(request, "admin/wallets/bankline/import.html", title, context)

    @reasoned(
        description=_("Accept: book it"),
        permissions=["accept"],
        warning=_("It is credited, or its withdrawal confirmed, at once."),
    )
    def accept(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str
    ) -> None:
        lines.accept(
            line=row, operator=_who(request), now=timezone.now(), reason=reason
        )

    @reasoned(
        description=_("Accept it in spite of doubts"),
        permissions=["accept"],
        warning=_("Money of others may be stolen, and be claimed back for months."),
    )
    def accept_all_the_same(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str
    ) -> None:
        lines.accept(
            line=row,
            operator=_who(request),
            now=timezone.now(),
            reason=reason,
            despite_doubts=True,
        )

    @reasoned(
        description=_("Say whose it is"),
        permissions=["accept"],
        warning=_("Somebody else accepts it afterwards."),
        shape=Assignment,
    )
    def assign(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str, email: str
    ) -> None:
        lines.assign(
            line=row,
            member=members.by_email(email),
            operator=_who(request),
            reason=reason,
        )

    @reasoned(
        description=_("It goes back to who paid it"),
        permissions=["accept"],
        warning=_("Nothing is booked here. Have the bank send it back."),
    )
    def send_back(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str
    ) -> None:
        lines.send_back(line=row, operator=_who(request), reason=reason)

    @reasoned(
        description=_("It concerns no member"),
        permissions=["accept"],
        warning=_("For the bank's own fees and the like. Nothing is booked."),
    )
    def ignore(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str
    ) -> None:
        lines.ignore(line=row, operator=_who(request), reason=reason)

    @reasoned(
        description=_("The bank took it back"),
        permissions=["accept"],
        warning=_(
            "What is left of it is taken from the member, the rest is our loss, and the"
            " account is frozen."
        ),
    )
    def undo(
        self, request: HttpRequest, row: BankLine, *, by: str, reason: str
    ) -> None:
        lines.reverse(
            line=row, operator=_who(request), reason=reason, now=timezone.now()
        )

    def _read_in(self, request: HttpRequest) -> HttpResponse:
        try:
            who, key, text = signing.loads(
                request.POST["seen"], salt=_SALT, max_age=_KEPT_SECONDS
            )
        except signing.BadSignature as error:
            raise PermissionDenied from error
        if who != request.user.pk:
            raise PermissionDenied
        try:
            statement, is_new = lines.read_in(
                channel=BankChannel.objects.get(pk=key),
                content=text.encode(),
                by=_actor(request),
                now=timezone.now(),
            )
        except ExchangeError as error:
            messages.error(request, error.message)
            return redirect("admin:wallets_bankline_import")
        if is_new:
            said = _("Read in: %(added)s new lines, %(known)s known ones.")
            facts = {"added": statement.added, "known": statement.known}
            messages.success(request, said % facts)
        else:
            messages.warning(request, _("This file was read in before."))
        return redirect("admin:wallets_bankline_changelist")

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            **context,
        }
        status = 400 if context["form"].errors else 200
        return TemplateResponse(request, template, whole, status=status)


@admin.register(BankWithdrawal)
class BankWithdrawalAdmin(ReadOnly):
    list_display = ("id", "currency", "member", "net", "destination", "created_at")
    list_filter = ("currency",)
    list_select_related = ("member",)
    search_fields = ("=destination", "=member__email", "member__sn")
    ordering = ("pk",)
    actions = ("take",)
    queue = Queue(_("Withdrawals to pay by bank"), Q(state="approved"))

    has_pay_permission = may("wallets.pay_by_bank")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankWithdrawal]:
        rows = super().get_queryset(request)
        return rows.filter(currency__kind="fiat", state="approved")

    @reasoned(
        description=_("Take it in hand"),
        permissions=["pay"],
        warning=_("From now on the member cannot cancel it."),
        shape=Taking,
    )
    def take(
        self,
        request: HttpRequest,
        row: BankWithdrawal,
        *,
        by: str,
        reason: str,
        channel: BankChannel,
    ) -> None:
        transfers.take(
            withdrawal=row,
            channel=channel,
            operator=_who(request),
            now=timezone.now(),
        )


@admin.register(BankTransfer)
class BankTransferAdmin(ReadOnly):
    list_display = (
        *("__str__", "channel", "to", "net", "state", "bank_txid"),
        *("taken_by", "taken_at"),
    )
    list_filter = ("channel", "state")
    list_select_related = ("channel", "withdrawal", "withdrawal__beneficiary")
    search_fields = ("=bank_txid", "=withdrawal__id")
    ordering = ("-pk",)
    actions = ("for_the_bank", "paid", "sent_back")
    queue = Queue(
        _("Withdrawals in the bank's hands"), Q(state="taken"), "?state__exact=taken"
    )

    has_pay_permission = may("wallets.pay_by_bank")

    def actions_on(self, row: BankTransfer) -> tuple[str, ...]:
        is_taken = row.state == BankTransfer.State.TAKEN
        return ("for_the_bank", "paid", "sent_back") if is_taken else ()

    @admin.display(description=_("to"))
    def to(self, row: BankTransfer) -> str:
        address = row.withdrawal.beneficiary
        return f"{address.holder}, {row.withdrawal.destination}, {address.bank}"

    @admin.display(description=_("net"))
    def net(self, row: BankTransfer) -> str:
        return f"{money.plain(row.withdrawal.net)} {row.withdrawal.currency_id.upper()}"

    @admin.action(description=_("File for the bank (CSV)"), permissions=["pay"])
    def for_the_bank(
        self, request: HttpRequest, rows: QuerySet[BankTransfer]
    ) -> HttpResponse:
        """
        Give what is in hand as a file. What was paid is left out, and so is what a
        member asked for who was frozen since: until then the money is here.
        """
        taken = rows.filter(state=BankTransfer.State.TAKEN).order_by("pk")
        is_active = Q(withdrawal__member__state=Member.State.ACTIVE)
        chosen = list(taken.filter(is_active).select_related("withdrawal__beneficiary"))
        for row in taken.exclude(is_active):
            messages.error(request, f"{row}: {transfers.NotPayable.text}")
        numbers = [each.withdrawal_id for each in chosen]
        subject = BankTransfer._meta.label_lower
        audit.record(_actor(request), "transfers_exported", subject, numbers=numbers)
        answer = HttpResponse(
            transfers.as_csv(chosen), content_type="text/csv; charset=utf-8"
        )
        answer["Content-Disposition"] = 'attachment; filename="transfers.csv"'
        return answer

    @reasoned(
        description=_("The bank has paid it"),
        permissions=["pay"],
        warning=_("One at a time: each has a number of its own."),
        shape=BankNumber,
    )
    def paid(
        self,
        request: HttpRequest,
        row: BankTransfer,
        *,
        by: str,
        reason: str,
        bank_txid: str,
    ) -> None:
        transfers.paid(
            transfer=row,
            bank_txid=bank_txid,
            operator=_who(request),
            now=timezone.now(),
        )

    @reasoned(
        description=_("The bank sent it back"),
        permissions=["pay"],
        warning=_(
            "It goes to the reviewers. What was paid before comes back by the bank's"
            " line, and not here."
        ),
    )
    def sent_back(
        self, request: HttpRequest, row: BankTransfer, *, by: str, reason: str
    ) -> None:
        transfers.sent_back(
            transfer=row, operator=_who(request), reason=reason, now=timezone.now()
        )


def _who(request: HttpRequest) -> Member:
    return cast(Member, request.user)


def _actor(request: HttpRequest) -> str:
    return f"operator:{request.user.pk}"
