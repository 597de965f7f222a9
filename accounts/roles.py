"""
What operators may do: six roles, each a group with permissions, all written here.

Nobody edits groups by hand: `install` makes them what this module says, at each
upgrade. Roles add up. Whoever holds one is an operator and may enter the admin; the
auditor sees everything and changes nothing. Appointing belongs to no role: it is the
superuser's, who is there for the first appointment and for emergencies, and whose
entering is an alarm.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import NotAllowed
from exchange.lib.states import lock_row
from exchange.lib.transactions import transaction


class Role(models.TextChoices):
    """Who does which work."""

    SUPPORT = "support", _("Support")
    KYC = "kyc", _("Identity")
    FINANCE = "finance", _("Finance")
    RISK = "risk", _("Risk")
    ENGINEER = "engineer", _("Engineer")
    AUDITOR = "auditor", _("Auditor")


_SUPPORT, _KYC, _FINANCE, _RISK, _ENGINEER, _AUDITOR = Role

# What changes something, or shows what is private: who may.
DEEDS: dict[str, set[Role]] = {
    "accounts.see_personal_data": {_KYC, _RISK, _AUDITOR},
    "accounts.answer_ticket": {_SUPPORT, _KYC, _RISK},
    "accounts.tag_member": {_SUPPORT, _RISK},
    "accounts.review_identity": {_KYC},
    "accounts.decide_factorloss": {_KYC},
    "accounts.freeze_member": {_SUPPORT, _RISK},
    "accounts.thaw_member": {_RISK},
    "accounts.close_member": {_RISK},
    "accounts.end_sessions": {_SUPPORT, _RISK},
    "accounts.change_member": {_RISK},
    "accounts.revoke_apitoken": {_RISK, _ENGINEER},
    "accounts.grant_role": set(),
    "markets.halt_market": {_RISK, _ENGINEER},
    "markets.open_market": {_ENGINEER},
    "markets.change_market": {_ENGINEER},
    "markets.add_market": {_ENGINEER},
    "markets.resolve_quarantined": {_ENGINEER},
    "wallets.decide_withdrawal": {_FINANCE, _RISK},
    "wallets.claim_deposit": {_FINANCE},
    "wallets.propose_adjustment": {_FINANCE},
    "wallets.approve_adjustment": {_FINANCE, _RISK},
    "wallets.propose_treasury": {_FINANCE},
    "wallets.approve_treasury": {_FINANCE, _RISK},
    "wallets.change_rules": {_FINANCE, _ENGINEER},
    "wallets.add_rules": {_ENGINEER},
    "wallets.change_confirmationtier": {_ENGINEER},
    "wallets.add_confirmationtier": {_ENGINEER},
    "wallets.change_currency": {_ENGINEER},
    "wallets.add_currency": {_ENGINEER},
    "wallets.accept_bank_line": {_FINANCE},
    "wallets.pay_by_bank": {_FINANCE},
    "wallets.change_bankchannel": {_FINANCE, _ENGINEER},
    "wallets.add_bankchannel": {_ENGINEER},
    "wallets.raise_payout": {_FINANCE, _ENGINEER},
    "wallets.return_payout": {_FINANCE, _RISK},
    "wallets.resume_hotwallet": {_FINANCE, _RISK},
}
# Which rows are shown to whom; to the auditor, all.
SEEN: dict[str, set[Role]] = {
    "accounts.member": {_SUPPORT, _KYC, _FINANCE, _RISK},
    "accounts.session": {_RISK},
    "accounts.signin": {_SUPPORT, _RISK},
    "accounts.proof": {_KYC, _RISK},
    "accounts.apitoken": {_SUPPORT, _RISK, _ENGINEER},
    "accounts.factorloss": {_KYC, _RISK},
    "accounts.ticket": {_SUPPORT, _KYC, _RISK},
    "taggit.tag": {_SUPPORT, _RISK},
    "auth.group": set(),
    "wallets.currency": {_FINANCE, _RISK, _ENGINEER},
    "wallets.account": {_FINANCE, _RISK},
    "wallets.balance": {_SUPPORT, _FINANCE, _RISK},
    "wallets.entry": {_FINANCE, _RISK},
    "wallets.rules": {_FINANCE, _RISK, _ENGINEER},
    "wallets.confirmationtier": {_FINANCE, _RISK, _ENGINEER},
    "wallets.scan": {_FINANCE, _ENGINEER},
    "wallets.depositaddress": {_SUPPORT, _FINANCE, _RISK},
    "wallets.deposit": {_SUPPORT, _FINANCE, _RISK},
    "wallets.beneficiary": {_SUPPORT, _FINANCE, _RISK},
    "wallets.withdrawal": {_SUPPORT, _FINANCE, _RISK},
    "wallets.approval": {_FINANCE, _RISK},
    "wallets.transfer": {_SUPPORT, _FINANCE, _RISK},
    "wallets.adjustment": {_FINANCE, _RISK},
    "wallets.treasurymove": {_FINANCE, _RISK},
    "wallets.finding": {_FINANCE, _RISK},
    "wallets.bankchannel": {_FINANCE, _RISK, _ENGINEER},
    "wallets.bankreference": {_SUPPORT, _FINANCE, _RISK},
    "wallets.bankstatement": {_FINANCE, _RISK},
    "wallets.bankline": {_FINANCE, _RISK},
    "wallets.banktransfer": {_FINANCE, _RISK},
    "wallets.bankwithdrawal": {_FINANCE, _RISK},
    "wallets.payout": {_FINANCE, _RISK, _ENGINEER},
    "wallets.payouttransaction": {_FINANCE, _RISK, _ENGINEER},
    "wallets.proof": {_FINANCE, _RISK},
    "wallets.root": {_FINANCE, _RISK},
    "wallets.statement": {_FINANCE, _RISK},
    "wallets.spentcoin": {_FINANCE, _RISK, _ENGINEER},
    "wallets.hotwallet": {_FINANCE, _RISK, _ENGINEER},
    "wallets.foreignsend": {_FINANCE, _RISK, _ENGINEER},
    "wallets.reconciliation": {_FINANCE, _RISK, _ENGINEER},
    "markets.market": {_SUPPORT, _FINANCE, _RISK, _ENGINEER},
    "markets.order": {_SUPPORT, _FINANCE, _RISK},
    "markets.trade": {_SUPPORT, _FINANCE, _RISK},
    "markets.floor": {_ENGINEER},
    "markets.staterequest": {_RISK, _ENGINEER},
    "markets.quarantined": {_ENGINEER},
    "lib.auditrecord": {_RISK},
    "lib.mail": set(),
}
_OURS = ("accounts", "auth", "lib", "markets", "taggit", "wallets")


class OwnRole(NotAllowed):
    """Who appoints and who is appointed are two people."""

    code = "own_role"
    text = _("Nobody changes their own roles. Please ask somebody else to do it.")


def grant(*, member: Member, role: Role, by: str, reason: str) -> None:
    """
    Give a member a role, and with it the way into the admin. Having it already is fine.

    `by` is the actor ("operator:3"). Raises OwnRole.
    """
    _demand_two_people(member, by)
    with transaction():
        fresh = lock_row(member)
        if fresh.groups.filter(name=role).exists():
            return
        fresh.groups.add(Group.objects.get(name=role))
        _set_operator(fresh, is_operator=True)
        audit.record(by, "role_granted", _label(fresh), role=role, reason=reason)


def revoke(*, member: Member, role: Role, by: str, reason: str) -> None:
    """
    Take a role from a member; with the last one goes the way into the admin. Not having
    it is fine. Raises OwnRole.
    """
    _demand_two_people(member, by)
    with transaction():
        fresh = lock_row(member)
        if not fresh.groups.filter(name=role).exists():
            return
        fresh.groups.remove(Group.objects.get(name=role))
        stays = fresh.is_superuser or fresh.groups.exists()
        _set_operator(fresh, is_operator=stays)
        audit.record(by, "role_revoked", _label(fresh), role=role, reason=reason)


def install() -> None:
    """Make the groups what this module says. Safe to run again at any time."""
    with transaction():
        for name in DEEDS:
            if not _permissions(name).exists():
                _declare(name)
        for role in Role:
            group, _is_new = Group.objects.get_or_create(name=role)
            group.permissions.set(_permissions_of(role))


def table() -> str:
    """Return who may do what, as a table for the README."""
    heads = " | ".join(Role.values)
    rules = "|".join("---" for _role in ("what", *Role))
    rows = [*DEEDS.items()]
    rows += [
        (f"look at {name}", roles | {Role.AUDITOR}) for name, roles in SEEN.items()
    ]
    lines = [
        f"| {name} | {' | '.join('x' if role in roles else '' for role in Role)} |"
        for name, roles in rows
    ]
    return "\n".join([f"| | {heads} |", f"|{rules}|", *lines])


def _demand_two_people(member: Member, by: str) -> None:
    if by == f"operator:{member.pk}":
        raise OwnRole


def _set_operator(member: Member, *, is_operator: bool) -> None:
    member.is_staff = is_operator
    member.save(update_fields=["is_staff"])


def _label(member: Member) -> str:
    return f"member:{member.pk}"


def _permissions_of(role: Role) -> list[Permission]:
    if role == Role.AUDITOR:
        looks = Permission.objects.filter(
            codename__startswith="view_", content_type__app_label__in=_OURS
        )
    else:
        looks = Permission.objects.none()
        for name, roles in SEEN.items():
            if role in roles:
                looks |= _permissions(name.replace(".", ".view_"))
    found = list(looks)
    for name, roles in DEEDS.items():
        if role in roles:
            found += _permissions(name)
    return found


def _permissions(name: str) -> models.QuerySet[Permission]:
    app, _dot, codename = name.partition(".")
    return Permission.objects.filter(content_type__app_label=app, codename=codename)


def _declare(name: str) -> None:
    """Write down a permission that no model brings along."""
    app, _dot, codename = name.partition(".")
    rows = ContentType.objects.filter(app_label=app)
    model = codename.partition("_")[2]
    owner = rows.filter(model=model).order_by("pk").first()
    Permission.objects.create(
        content_type=owner or ContentType.objects.get_for_model(Member),
        codename=codename,
        name=f"May {codename.replace('_', ' ')}",
    )
