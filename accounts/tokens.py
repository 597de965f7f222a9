"""
API tokens: issue, revoke, and believe whoever signed.

The secret must be readable to check a signature; it is stored encrypted under
PIXIU_MASTER_KEY and bound to its access key. How requests are signed is the business of
the schemes (accounts.tonces, accounts.signed_headers), which bring what they signed
here; what members do with their keys is in accounts.keys.
"""

from __future__ import annotations

import hmac
import json
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext_lazy as _

from accounts import last_use, networks, standing
from accounts import scopes as scopes_of_keys
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from exchange.lib import audit, words
from exchange.lib.errors import BrokenPromise, NotAllowed, NotSignedIn, Refused
from exchange.lib.prepared import Statement
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction, transaction_required

# A key that works from anywhere is found and used by whoever finds it: not for ever.
LIFE_ANYWHERE = timedelta(days=90)

_LETTERS = string.ascii_letters + string.digits
_ACCESS_KEY_LENGTH = 40
_SECRET_KEY_LENGTH = 43  # 62^43 > 2^256
_SEALED_FOR = "api tokens"


class LivesTooLong(Refused):
    """A key that any address may use was to outlive LIFE_ANYWHERE."""

    code = "key_lives_too_long"
    text = _(
        "A key that works from any address ends after 90 days at most. List the"
        " addresses it is used from, or choose a shorter time."
    )


class UnknownKey(NotSignedIn):
    """Nobody has this access key; a revoked one counts as gone."""

    code = "unknown_access_key"


class KeyDisabled(NotSignedIn):
    """The member of this key may not use the API, or is closed."""

    code = "access_key_disabled"


class KeyExpired(NotSignedIn):
    """The key was issued for a time that is over."""

    code = "access_key_expired"


class ScopeMissing(NotSignedIn):
    """The key may do something else, not this."""

    code = "scope_missing"


class BadSignature(NotSignedIn):
    """The signature is not this request's under this key's secret."""

    code = "bad_signature"


class AddressNotTrusted(NotAllowed):
    """The key may be used from other addresses only."""

    code = "address_not_trusted"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new pair of keys. The secret can be read here, once, and nowhere later."""

    token: ApiToken
    access_key: str
    secret_key: str


class Claim(NamedTuple):
    """Who was believed on a connection that stays open: by which token, and where."""

    token_id: int
    member_id: int
    address: str
    scopes: tuple[str, ...] = ()  # any of which the key must still have


def issue(
    *,
    member: Member,
    now: datetime,
    label: str = "",
    scopes: Collection[str] = ("all",),
    trusted_ips: Sequence[str] = (),
    expires_at: datetime | None = None,
) -> Issued:
    """
    Give a member a new pair of keys, as programs of ours do. Members create theirs by
    accounts.keys, which asks and tells more; what is refused is said at `add`.
    """
    with transaction():
        return add(
            member=member,
            now=now,
            label=label,
            scopes=scopes,
            trusted_ips=trusted_ips,
            expires_at=expires_at,
            by=f"member:{member.pk}",
        )


@transaction_required
def add(
    *,
    member: Member,
    now: datetime,
    label: str,
    scopes: Collection[str],
    trusted_ips: Sequence[str],
    expires_at: datetime | None,
    by: str,
    form_id: UUID | None = None,
) -> Issued:
    """
    Write down a new pair of keys. `trusted_ips` are addresses or networks; none means
    any. Without an end it lives as long as it may.

    Raises standing.AddressNotConfirmed, words.Unseen, BadNetwork, UnknownScope,
    NetworksMissing or LivesTooLong.
    """
    standing.demand_activated(member)
    trusted = networks.normalised(trusted_ips)
    access_key = _random_text(_ACCESS_KEY_LENGTH)
    secret_key = _random_text(_SECRET_KEY_LENGTH)
    token = ApiToken.objects.create(
        member=member,
        label=words.line(label),
        access_key=access_key,
        # Bound to its access key: moved to another row it does not open.
        secret_encrypted=seal(
            secret_key.encode(), purpose=_SEALED_FOR, bound_to=access_key
        ),
        scopes=scopes_of_keys.written(scopes, networks=trusted),
        trusted_ips=trusted,
        form_id=form_id,
        created_at=now,
        expires_at=end_of(expires_at, trusted, now=now),
    )
    audit.record(
        by, "token_issued", f"token:{token.pk}", label=label, scopes=token.scopes
    )
    return Issued(token, access_key, secret_key)


def end_of(
    expires_at: datetime | None, trusted: Collection[str], *, now: datetime
) -> datetime | None:
    """
    Return when a key that trusts these networks ends: as wished, else as late as it
    may, which is never (None) where it trusts only some. Raises LivesTooLong.
    """
    if trusted:
        return expires_at
    latest = now + LIFE_ANYWHERE
    if expires_at is not None and expires_at > latest:
        raise LivesTooLong
    return expires_at or latest


def revoke(*, token: ApiToken, by: str, now: datetime, reason: str = "") -> None:
    """Make the keys useless from the next request on. Twice is once."""
    with transaction():
        strike(token=token, by=by, now=now, reason=reason)


@transaction_required
def strike(*, token: ApiToken, by: str, now: datetime, reason: str = "") -> bool:
    """Revoke, in the transaction at hand; say whether there was something to revoke."""
    live = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    if not live.update(revoked_at=now):
        return False
    why = {"reason": reason} if reason else {}
    audit.record(by, "token_revoked", f"token:{token.pk}", **why)
    return True


@transaction_required
def revoke_all(*, member_id: int, by: str, now: datetime) -> None:
    """Make all keys of a member useless."""
    live = ApiToken.objects.filter(member_id=member_id, revoked_at=None)
    for token in live.order_by("pk"):
        strike(token=token, by=by, now=now)


def verify_answer(
    *,
    access_key: str,
    challenge: str,
    answer: str,
    scopes: Collection[str],
    address: str,
    now: datetime,
) -> ApiToken:
    """
    Believe the answer to a challenge that was given out once: return its token.

    The answer is the signature of the access key with the challenge behind it. Raises
    what `believe` raises.
    """
    message = (access_key + challenge).encode()
    known = _read(access_key)
    _demand_believable(known, Signed(access_key, message, answer, scopes, address, now))
    last_use.note(known.token, address=address, now=now)
    return known.token


def still_good(claims: Collection[Claim], *, now: datetime) -> set[Claim]:
    """
    Return those of the claims that would be believed anew: the token lives, its member
    may use it, it has such a scope, and it trusts the address.
    """
    ids = {claim.token_id for claim in claims}
    live = ApiToken.objects.filter(pk__in=ids, revoked_at=None)
    tokens = {token.pk: token for token in live.select_related("member")}
    return {
        claim
        for claim in claims
        if (token := tokens.get(claim.token_id)) and _is_good(token, claim, now)
    }


def _is_good(token: ApiToken, claim: Claim, now: datetime) -> bool:
    try:
        _demand_live(token, now)
        _demand_scope(token, claim.scopes)
        _demand_address(token, claim.address)
    except (NotSignedIn, NotAllowed):
        return False
    return True


def sign(payload: str, *, secret_key: str) -> str:
    """Return the signature of a payload, as a client computes it."""
    return _signature(payload.encode(), secret_key)


def _signature(payload: bytes, secret_key: str) -> str:
    return hmac.digest(secret_key.encode(), payload, "sha256").hex()


# Note [A key is remembered, and never believed unseen]: reading token and member and
# opening the secret was a third of a small request. So they are kept, with the versions
# of both rows; and the statement that records the tonce, which has to be sent anyway,
# records it only while both rows are of these versions. Whatever is not as remembered
# is read anew, and judged by what is true now.


class Signed(NamedTuple):
    """A signed request, as it is to be judged."""

    access_key: str
    payload: bytes
    signature: str
    scopes: Collection[str]
    address: str
    now: datetime


class Once(Protocol):
    """What makes a signed request work once: a tonce, or a nonce with its time."""

    def is_in_time(self, now: datetime) -> bool:
        """Say whether it is well formed, and near enough to our clock."""

    def record(self, token: ApiToken, versions: Versions | None = None) -> bool:
        """Use it up as `Recorder.write` does."""

    def use_up(self, token: ApiToken, now: datetime) -> None:
        """Use it up, or say why it is refused."""


class Known(NamedTuple):
    """A token with its member, its secret, and the versions of the two rows."""

    token: ApiToken
    secret_key: str
    versions: Versions


Versions = tuple[str, str]

_remembered: dict[str, Known] = {}
_REMEMBERED_MAX = 10_000


def believe(request: Signed, once: Once) -> ApiToken:
    """
    Believe a request that was signed in either way: return its token, with `.member`
    at hand. Any one of the scopes opens the route; none means that any key does.

    The order of the checks is part of the contract: the key, then what it may do, then
    the signature, the address, and last what works once. So a stranger can neither use
    up anything nor learn from it. That is recorded and committed before this returns,
    whatever becomes of the request: a refused one cannot be sent again.

    Raises UnknownKey, KeyDisabled, KeyExpired, ScopeMissing, BadSignature,
    AddressNotTrusted, or what `once` has to say.
    """
    known = _remembered.get(request.access_key)
    if known is None or not _is_believed(known, request, once):
        known = _read(request.access_key)
        _demand_believable(known, request)
        once.use_up(known.token, request.now)
        _remember(known)
    last_use.note(known.token, address=request.address, now=request.now)
    return known.token


def _remember(known: Known) -> None:
    if len(_remembered) >= _REMEMBERED_MAX:
        _remembered.clear()
    _remembered[known.token.access_key] = known


def _is_believed(known: Known, request: Signed, once: Once) -> bool:
    """Judge a request by what is remembered; False says only that one has to look."""
    if not once.is_in_time(request.now):
        return False
    try:
        _demand_believable(known, request)
    except (NotSignedIn, NotAllowed):
        return False
    return once.record(known.token, known.versions)


def _demand_believable(known: Known, request: Signed) -> None:
    token = known.token
    _demand_live(token, request.now)
    _demand_scope(token, request.scopes)
    expected = _signature(request.payload, known.secret_key)
    if not hmac.compare_digest(expected.encode(), request.signature.encode()):
        raise BadSignature(f"Signature {request.signature} is incorrect.")
    _demand_address(token, request.address)


def _read(access_key: str) -> Known:
    """Read token and member in one statement; the ORM would cost ten times as much."""
    with connection.cursor() as cursor:
        _TOKEN_WITH_MEMBER.run(cursor, {"access_key": access_key})
        row = cursor.fetchone()
    if row is None:
        raise UnknownKey(f"The access key {access_key} does not exist.")
    *fields, token_version, member_version = row
    width = len(_TOKEN_FIELDS)
    token: ApiToken = ApiToken.from_db("default", _TOKEN_FIELDS, fields[:width])
    token.trusted_ips = json.loads(token.trusted_ips)  # as JSONField would read it
    token.member = Member.from_db("default", _MEMBER_FIELDS, fields[width:])
    return Known(token, _decrypt(token), (token_version, member_version))


_TOKEN_FIELDS = [field.attname for field in ApiToken._meta.concrete_fields]
_MEMBER_FIELDS = [field.attname for field in Member._meta.concrete_fields]
# The names are our models' own.
_TOKEN_WITH_MEMBER = Statement(
    "token_with_member",
    f"""
SELECT {", ".join(f"token.{name}" for name in _TOKEN_FIELDS)},
    {", ".join(f"member.{name}" for name in _MEMBER_FIELDS)},
    token.xmin::text, member.xmin::text
FROM accounts_apitoken AS token JOIN accounts_member AS member
    ON member.id = token.member_id
WHERE token.access_key = %(access_key)s AND token.revoked_at IS NULL
""",
    {"access_key": "text"},
)


def _demand_live(token: ApiToken, now: datetime) -> None:
    member = token.member
    if member.api_disabled or not (member.is_active and member.is_activated):
        raise KeyDisabled(f"The access key {token.access_key} is disabled.")
    if token.expires_at is not None and token.expires_at <= now:
        raise KeyExpired(f"The access key {token.access_key} has expired.")


def _demand_scope(token: ApiToken, scopes: Collection[str]) -> None:
    if not scopes_of_keys.open_any(token.scopes, scopes):
        raise ScopeMissing("Requested API is out of access key scopes.")


def _demand_address(token: ApiToken, address: str) -> None:
    if token.trusted_ips and not networks.is_within(address, token.trusted_ips):
        raise AddressNotTrusted("Forbidden")


class Recorder:
    """
    Writes down what works once, and commits: the two statements of one table.

    One message to the server is one transaction of its own. It need not wait for the
    disk: the commit of whatever the request then does flushes it, too.
    """

    def __init__(self, table: str, **types: str) -> None:
        columns = ", ".join(types)
        values = ", ".join(f"%({name})s" for name in types)
        into = f"INSERT INTO {table} (token_id, {columns})"
        self._anew = Statement(
            f"record_{table}",
            f"{into} VALUES (%(token)s, {values}) ON CONFLICT DO NOTHING",
            {"token": "bigint", **types},
            before=_NO_WAIT,
        )
        self._unchanged = Statement(
            f"record_{table}_unchanged",
            f"{into} SELECT token.id, {values} {_AS_REMEMBERED} ON CONFLICT DO NOTHING",
            {
                "token": "bigint",
                **types,
                "token_version": "xid",
                "member_version": "xid",
            },
            before=_NO_WAIT,
        )

    def write(
        self, token: ApiToken, versions: Versions | None, **values: object
    ) -> bool:
        """
        Say whether it was new, and, where versions are given, whether token and member
        still are of these.
        """
        if connection.in_atomic_block:
            raise BrokenPromise("What works once is committed before the work.")
        values["token"] = token.pk
        statement = self._anew
        if versions is not None:
            statement = self._unchanged
            values["token_version"], values["member_version"] = versions
        with connection.cursor() as cursor:
            statement.run(cursor, values)
            return bool(cursor.rowcount == 1)


_NO_WAIT = "SET LOCAL synchronous_commit TO off"
_AS_REMEMBERED = """
FROM accounts_apitoken AS token JOIN accounts_member AS member
    ON member.id = token.member_id
WHERE token.id = %(token)s AND token.xmin = %(token_version)s
    AND member.xmin = %(member_version)s
"""


def milliseconds(at: datetime) -> int:
    """Return a moment as clients write it: milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def milliseconds_of(span: timedelta) -> int:
    """Return a span of time in milliseconds."""
    return span // timedelta(milliseconds=1)


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _decrypt(token: ApiToken) -> str:
    sealed = bytes(token.secret_encrypted)
    return unseal(sealed, purpose=_SEALED_FOR, bound_to=token.access_key).decode()
