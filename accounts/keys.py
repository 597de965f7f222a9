"""
Keys, as their owners handle them: create, change, revoke, look at.

A key is created and changed by whoever has just shown a second factor (the pages' door
sees to that) and whose address is confirmed; its owner hears of it by mail. How
requests are judged by a key is the business of accounts.tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts import members, networks, notices, scopes, standing, tokens
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from accounts.notices import Event
from accounts.tokens import Issued
from exchange.lib import audit, words
from exchange.lib.errors import Conflict, NotAllowed, NotFound, Refused
from exchange.lib.transactions import transaction, transaction_required

KEYS_MAX = 50  # of one member, at once
LABEL_LENGTH_MAX = 64


class MayNotHaveKeys(NotAllowed):
    """The member is frozen: whoever froze it may have lost the session, too."""

    code = "account_frozen"
    text = _("Your account is frozen. Our support can thaw it.")


class TooManyKeys(Refused):
    """The member has KEYS_MAX keys that are not revoked."""

    code = "too_many_keys"
    text = _("You have %(count)s keys, which is the most. Revoke one you do not need.")


class CreatedAlready(Conflict):
    """The same form came before: its key exists, and its secret was shown."""

    code = "key_created_already"
    text = _(
        "This key was created already, and its secret was shown once. If you have not"
        " kept it, revoke the key and create another."
    )


class NoSuchKey(NotFound):
    """It is revoked, or somebody else's, or was never there: the answer is the same."""

    code = "no_such_key"
    text = _("There is no such key.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What its owner may say of a key. No end means as late as it may."""

    label: str
    scopes: Collection[str]
    trusted_ips: Sequence[str] = ()
    expires_at: datetime | None = None


def create(
    *,
    member: Member,
    terms: Terms,
    now: datetime,
    form_id: UUID | None = None,
    by: str = "",
) -> Issued:
    """
    Create a key for a member, who hears of it by mail. One form makes one key.

    Raises standing.AddressNotConfirmed, MayNotHaveKeys, TooManyKeys, CreatedAlready,
    or what tokens.add does.
    """
    with transaction():
        _demand_entitled(members.lock_member(member))
        if form_id and ApiToken.objects.filter(form_id=form_id).exists():
            raise CreatedAlready
        if live(member).count() >= KEYS_MAX:
            raise TooManyKeys(TooManyKeys.text % {"count": KEYS_MAX})
        issued = tokens.add(
            member=member,
            now=now,
            label=terms.label,
            scopes=terms.scopes,
            trusted_ips=terms.trusted_ips,
            expires_at=terms.expires_at,
            by=by or f"member:{member.pk}",
            form_id=form_id,
        )
        notices.tell(member, Event.KEY_ISSUED, key=issued.token)
    return issued


def change(*, member: Member, key_id: int, terms: Terms, now: datetime) -> ApiToken:
    """
    Change what a key may do, from the next request on, and what it is called. What
    stays as it was stays: also an end that a new key could not have.

    Raises standing.AddressNotConfirmed, MayNotHaveKeys, NoSuchKey, or what tokens.add
    does.
    """
    with transaction():
        _demand_entitled(members.lock_member(member))
        key = lock_key(member, key_id)
        trusted = networks.normalised(terms.trusted_ips)
        after = {
            "label": words.line(terms.label),
            "scopes": scopes.written(terms.scopes, networks=trusted),
            "trusted_ips": trusted,
            "expires_at": terms.expires_at,
        }
        if (trusted, terms.expires_at) != (key.trusted_ips, key.expires_at):
            after["expires_at"] = tokens.end_of(terms.expires_at, trusted, now=now)
        changed = [name for name, value in after.items() if getattr(key, name) != value]
        if not changed:
            return key
        for name in changed:
            setattr(key, name, after[name])
        key.save(update_fields=changed)
        audit.record(
            f"member:{member.pk}",
            "token_changed",
            f"token:{key.pk}",
            fields=changed,
            scopes=key.scopes,
        )
        notices.tell(member, Event.KEY_CHANGED, key=key, is_revoked=False)
    return key


def revoke(*, key: ApiToken, by: str, now: datetime, reason: str = "") -> None:
    """
    Make a key useless from the next request on; its open sockets close within seconds,
    and its owner hears of it. Twice is once.
    """
    with transaction():
        if tokens.strike(token=key, by=by, now=now, reason=reason):
            notices.tell(key.member, Event.KEY_CHANGED, key=key, is_revoked=True)


def live(member: Member) -> QuerySet[ApiToken]:
    """Return the keys of a member that are not revoked, newest first."""
    found = ApiToken.objects.filter(member=member, revoked_at=None)
    return found.select_related("use").order_by("-pk")


def of(member: Member, key_id: int) -> ApiToken:
    """Return one of a member's keys. Raises NoSuchKey."""
    try:
        return live(member).select_related("member").get(pk=key_id)
    except ApiToken.DoesNotExist as error:
        raise NoSuchKey from error


@transaction_required
def lock_key(member: Member, key_id: int) -> ApiToken:
    """Return one of a member's keys, which nobody else changes meanwhile."""
    rows = ApiToken.objects.select_for_update(no_key=True)
    try:
        return rows.get(pk=key_id, member=member, revoked_at=None)
    except ApiToken.DoesNotExist as error:
        raise NoSuchKey from error


def _demand_entitled(member: Member) -> None:
    standing.demand_activated(member)
    if not member.may_trade:
        raise MayNotHaveKeys
