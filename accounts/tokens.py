"""
API tokens: issue, revoke, and believe a signed request or not.

The scheme is the ancestor's, so that its bots trade here unchanged: an HMAC-SHA256 over
`VERB|path|canonical query`, and a tonce (milliseconds) that works once. The secret must
be readable to check it; it is stored encrypted under PIXIU_MASTER_KEY and bound to its
access key. How parameters are collected from a request is the API's business.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from django.db import connection

from accounts import members
from accounts.models.members import Member
from accounts.models.tokens import ApiToken, UsedTonce
from exchange.lib import audit
from exchange.lib.errors import BrokenPromise, Invalid, NotAllowed, NotSignedIn
from exchange.lib.prepared import Statement
from exchange.lib.sealed import seal, unseal
from exchange.lib.transactions import transaction

WINDOW_SECONDS = 30  # the ancestor's
SCOPES = frozenset({"all", "profile", "history", "trade"})

# A tonce this far ahead is refused without being kept: it could be replayed only after
# that time, and keeping it would let a key fill our disk with the years to come.
_KEPT_AHEAD = timedelta(days=1)
_LETTERS = string.ascii_letters + string.digits
_ACCESS_KEY_LENGTH = 40
_SECRET_KEY_LENGTH = 43  # 62^43 > 2^256
_SEALED_FOR = "api tokens"
_WINDOW_MS = WINDOW_SECONDS * 1000
_TONCE = re.compile(r"[0-9]{1,15}", re.ASCII)


class UnknownScope(Invalid):
    """A scope that no route asks for."""

    code = "unknown_scope"


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


class TonceUsed(NotSignedIn):
    """A request with this tonce was seen before."""

    code = "tonce_used"


class TonceOutsideWindow(NotSignedIn):
    """The tonce is too far from our clock."""

    code = "tonce_outside_window"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new pair of keys. The secret can be read here, once, and nowhere later."""

    token: ApiToken
    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """The three parameters that make a request a signed one, as they came."""

    access_key: str
    tonce: str
    signature: str


class Claim(NamedTuple):
    """Who was believed on a connection that stays open: by which token, and where."""

    token_id: int
    member_id: int
    address: str


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
    Give a member a new pair of keys. `trusted_ips` are addresses or networks; none
    means any. Raises UnknownScope, or members.AddressNotConfirmed.
    """
    members.demand_activated(member)
    if not scopes or not SCOPES.issuperset(scopes):
        raise UnknownScope(f"Scopes are {', '.join(sorted(SCOPES))}.")
    access_key = _random_text(_ACCESS_KEY_LENGTH)
    secret_key = _random_text(_SECRET_KEY_LENGTH)
    with transaction():
        token = ApiToken.objects.create(
            member=member,
            label=label,
            access_key=access_key,
            # Bound to its access key: moved to another row it does not open.
            secret_encrypted=seal(
                secret_key.encode(), purpose=_SEALED_FOR, bound_to=access_key
            ),
            scopes=" ".join(sorted(scopes)),
            trusted_ips=[str(ip_network(text)) for text in trusted_ips],
            created_at=now,
            expires_at=expires_at,
        )
        audit.record(
            f"member:{member.pk}", "token_issued", f"token:{token.pk}", label=label
        )
    return Issued(token, access_key, secret_key)


def revoke(*, token: ApiToken, by: str, now: datetime) -> None:
    """Make the keys useless from the next request on. Twice is once."""
    with transaction():
        live = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
        if live.update(revoked_at=now):
            audit.record(by, "token_revoked", f"token:{token.pk}")


def verify_request(
    *,
    credentials: Credentials,
    payload: str,
    scopes: Collection[str],
    address: str,
    now: datetime,
) -> ApiToken:
    """
    Believe a signed request: return its token, with `.member` at hand.

    `payload` is `VERB|path|canonical query`; any one of `scopes` opens the route, none
    means that any key does. The order of the checks is part of the contract: the key,
    then what it may do, then the signature, then the tonce. So a stranger can neither
    use up a tonce nor learn from one.

    The tonce is recorded and committed before this returns, whatever becomes of the
    request: a refused one cannot be sent again.

    Raises UnknownKey, KeyDisabled, KeyExpired, ScopeMissing, BadSignature,
    AddressNotTrusted, TonceUsed or TonceOutsideWindow.
    """
    request = _Signed(credentials, payload, scopes, address, now)
    remembered = _remembered.get(credentials.access_key)
    if remembered is not None and _is_believed(remembered, request):
        return remembered.token
    known = _read(credentials.access_key)
    _demand_believable(known, request)
    _use_up(known.token, credentials.tonce, now)
    _remember(known)
    return known.token


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
    what verify_request raises, tonces apart.
    """
    token, secret_key, _ = _read(access_key)
    _demand_live(token, now)
    _demand_scope(token, scopes)
    expected = sign(access_key + challenge, secret_key=secret_key)
    if not hmac.compare_digest(expected.encode(), answer.encode()):
        raise BadSignature("The answer is incorrect.")
    _demand_address(token, address)
    return token


def still_good(claims: Collection[Claim], *, now: datetime) -> set[Claim]:
    """
    Return those of the claims that would be believed anew: the token lives, its member
    may use it, and it trusts the address.
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
        _demand_address(token, claim.address)
    except (NotSignedIn, NotAllowed):
        return False
    return True


def sign(payload: str, *, secret_key: str) -> str:
    """Return the signature of a payload, as a client computes it."""
    return hmac.digest(secret_key.encode(), payload.encode(), "sha256").hex()


def forget_old_tonces(*, now: datetime) -> int:
    """
    Delete tonces too old to be accepted anyway, and return how many they were.

    They are kept for twice the window, so that one clock running ahead of another
    reopens nothing.
    """
    oldest = _milliseconds(now) - 2 * WINDOW_SECONDS * 1000
    count, _ = UsedTonce.objects.filter(tonce__lt=oldest).delete()
    return count


# Note [A key is remembered, and never believed unseen]: reading token and member and
# opening the secret was a third of a small request. So they are kept, with the versions
# of both rows; and the statement that records the tonce, which has to be sent anyway,
# records it only while both rows are of these versions. Whatever is not as remembered
# is read anew, and judged by what is true now.


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signed request, as it is to be judged."""

    credentials: Credentials
    payload: str
    scopes: Collection[str]
    address: str
    now: datetime


class _Known(NamedTuple):
    """A token with its member, its secret, and the versions of the two rows."""

    token: ApiToken
    secret_key: str
    versions: tuple[str, str]


_remembered: dict[str, _Known] = {}
_REMEMBERED_MAX = 10_000


def _remember(known: _Known) -> None:
    if len(_remembered) >= _REMEMBERED_MAX:
        _remembered.clear()
    _remembered[known.token.access_key] = known


def _is_believed(known: _Known, request: _Signed) -> bool:
    """Judge a request by what is remembered; False says only that one has to look."""
    tonce = _milliseconds_in(request.credentials.tonce)
    if tonce is None or not _is_in_time(tonce, request.now):
        return False
    try:
        _demand_believable(known, request)
    except (NotSignedIn, NotAllowed):
        return False
    return _record(known.token, tonce, known.versions)


def _demand_believable(known: _Known, request: _Signed) -> None:
    token, credentials = known.token, request.credentials
    _demand_live(token, request.now)
    _demand_scope(token, request.scopes)
    expected = sign(request.payload, secret_key=known.secret_key)
    given = credentials.signature.encode()
    if not hmac.compare_digest(expected.encode(), given):
        raise BadSignature(f"Signature {credentials.signature} is incorrect.")
    _demand_address(token, request.address)


def _read(access_key: str) -> _Known:
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
    return _Known(token, _decrypt(token), (token_version, member_version))


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
    if token.member.api_disabled or not token.member.is_active:
        raise KeyDisabled(f"The access key {token.access_key} is disabled.")
    if token.expires_at is not None and token.expires_at <= now:
        raise KeyExpired(f"The access key {token.access_key} has expired.")


def _demand_scope(token: ApiToken, scopes: Collection[str]) -> None:
    has = token.scopes.split()
    if scopes and "all" not in has and not set(scopes).intersection(has):
        raise ScopeMissing("Requested API is out of access key scopes.")


def _demand_address(token: ApiToken, address: str) -> None:
    if not token.trusted_ips:
        return
    try:
        host = ip_address(address)
    except ValueError as error:
        raise AddressNotTrusted("Forbidden") from error
    if not any(host in ip_network(network) for network in token.trusted_ips):
        raise AddressNotTrusted("Forbidden")


def _use_up(token: ApiToken, text: str, now: datetime) -> None:
    """Record the tonce, then look whether it was in time: 2006 before 2007."""
    tonce, now_ms = _milliseconds_in(text), _window_middle(now)
    ahead_ms = int(_KEPT_AHEAD.total_seconds() * 1000)
    if tonce is not None and now_ms - 2 * _WINDOW_MS <= tonce <= now_ms + ahead_ms:
        if not _record(token, tonce):
            raise TonceUsed(
                f"The tonce {tonce} has already been used"
                f" by access key {token.access_key}."
            )
        if _is_in_time(tonce, now):
            return
    raise TonceOutsideWindow(
        f"The tonce {text} is invalid, current timestamp is {now_ms}."
    )


def _milliseconds_in(text: str) -> int | None:
    return int(text) if _TONCE.fullmatch(text) else None


def _is_in_time(tonce: int, now: datetime) -> bool:
    return abs(tonce - _window_middle(now)) <= _WINDOW_MS


def _window_middle(now: datetime) -> int:
    return _milliseconds(now.replace(microsecond=0))


def _record(
    token: ApiToken, tonce: int, versions: tuple[str, str] | None = None
) -> bool:
    """
    Write the tonce down and commit; say whether it was new, and, where versions are
    given, whether token and member still are of these.

    One message to the server is one transaction of its own. It need not wait for the
    disk: the commit of whatever the request then does flushes it, too.
    """
    if connection.in_atomic_block:
        raise BrokenPromise("A tonce is committed before the work, not with it.")
    with connection.cursor() as cursor:
        if versions is None:
            _RECORD.run(cursor, {"token": token.pk, "tonce": tonce})
        else:
            values = (token.pk, tonce, *versions)
            names = ("token", "tonce", "token_version", "member_version")
            _RECORD_UNCHANGED.run(cursor, dict(zip(names, values, strict=True)))
        return bool(cursor.rowcount == 1)


_NO_WAIT = "SET LOCAL synchronous_commit TO off"
_RECORD = Statement(
    "record_tonce",
    "INSERT INTO accounts_usedtonce (token_id, tonce) VALUES (%(token)s, %(tonce)s)"
    " ON CONFLICT DO NOTHING",
    {"token": "bigint", "tonce": "bigint"},
    before=_NO_WAIT,
)
_RECORD_UNCHANGED = Statement(
    "record_tonce_unchanged",
    """
INSERT INTO accounts_usedtonce (token_id, tonce)
SELECT token.id, %(tonce)s
FROM accounts_apitoken AS token JOIN accounts_member AS member
    ON member.id = token.member_id
WHERE token.id = %(token)s AND token.xmin = %(token_version)s
    AND member.xmin = %(member_version)s
ON CONFLICT DO NOTHING
""",
    {
        "token": "bigint",
        "tonce": "bigint",
        "token_version": "xid",
        "member_version": "xid",
    },
    before=_NO_WAIT,
)


def _milliseconds(now: datetime) -> int:
    return int(now.timestamp() * 1000)


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _decrypt(token: ApiToken) -> str:
    sealed = bytes(token.secret_encrypted)
    return unseal(sealed, purpose=_SEALED_FOR, bound_to=token.access_key).decode()
