"""Keys as their owners handle them: create, change, revoke."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError

from accounts import keys, last_use, members, networks, scopes, standing, tokens, tonces
from accounts.keys import Terms
from accounts.models.members import Member
from accounts.models.tokens import ApiToken, TokenUse
from exchange.lib.errors import ExchangeError
from exchange.lib.models import AuditRecord, Mail
from tests import makers
from tests.makers import make_token
from tests.races.crowd import at_once, count
from tests.rows import dump

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
NOW_MS = 1_795_514_400_000
DAY = timedelta(days=1)
READING = Terms(label="Ledger", scopes=("read",))


def create(member: Member, **changes: Any) -> tokens.Issued:
    terms = {"label": "Ledger", "scopes": ("read",), **changes}
    return keys.create(member=member, terms=Terms(**terms), now=NOW)


def use(issued: tokens.Issued, *, at: datetime = NOW, address: str = "") -> ApiToken:
    tonce = str(tokens.milliseconds(at))
    signature = makers.sign("payload", issued.secret_key)
    return tonces.verify_request(
        credentials=tonces.Credentials(issued.access_key, tonce, signature),
        payload="payload",
        scopes=(),
        address=address,
        now=at,
    )


# --- Create -------------------------------------------------------------------------


@pytest.mark.promise("S-46", "S-49")
def test_it_creates_a_key_and_tells_its_owner(alice: Member) -> None:
    issued = create(alice, trusted_ips=["192.0.2.7"])

    assert use(issued, address="192.0.2.7").pk == issued.token.pk
    assert issued.token.trusted_ips == ["192.0.2.7/32"]
    assert Mail.objects.get().subject == "An API key was created"
    deed = AuditRecord.objects.get(action="token_issued")
    assert (deed.actor, deed.facts["scopes"]) == (f"member:{alice.pk}", "read")
    assert issued.secret_key not in str(deed.facts)


@pytest.mark.promise("S-49")
@pytest.mark.parametrize(
    ("trusted", "wished", "ends"),
    [
        ([], None, 90 * DAY),
        ([], 30 * DAY, 30 * DAY),
        ([], 90 * DAY, 90 * DAY),
        (["192.0.2.7"], None, None),
        (["192.0.2.7"], 365 * DAY, 365 * DAY),
    ],
)
def test_it_lets_a_key_live_as_long_as_it_may(
    alice: Member,
    trusted: list[str],
    wished: timedelta | None,
    ends: timedelta | None,
) -> None:
    wish = None if wished is None else NOW + wished

    issued = create(alice, trusted_ips=trusted, expires_at=wish)

    assert issued.token.expires_at == (None if ends is None else NOW + ends)


REFUSED: list[tuple[dict[str, Any], type[ExchangeError]]] = [
    ({"scopes": ()}, scopes.UnknownScope),
    ({"scopes": ("read", "everything")}, scopes.UnknownScope),
    ({"scopes": ("withdraw",)}, scopes.NetworksMissing),
    ({"trusted_ips": ["nowhere"]}, networks.BadNetwork),
    ({"expires_at": NOW + 91 * DAY}, tokens.LivesTooLong),
]


@pytest.mark.promise("S-47", "S-49")
@pytest.mark.parametrize(("changes", "error"), REFUSED)
def test_it_refuses_odd_terms_and_changes_nothing(
    alice: Member, changes: dict[str, Any], error: type[ExchangeError]
) -> None:
    key = create(alice).token
    before = dump()

    with pytest.raises(error):
        create(alice, **changes)
    terms = Terms(**{"label": "Ledger", "scopes": ("read",), **changes})
    with pytest.raises(error):
        keys.change(member=alice, key_id=key.pk, terms=terms, now=NOW)

    assert dump() == before


@pytest.mark.promise("S-49")
def test_it_gives_keys_to_none_but_the_confirmed_and_free(
    alice: Member, bob: Member
) -> None:
    hers, his = create(alice).token, create(bob).token
    Member.objects.filter(pk=alice.pk).update(activated_at=None)
    members.freeze(member=bob, by="test", reason="test")
    refusals: list[tuple[Member, ApiToken, type[ExchangeError]]] = [
        (alice, hers, standing.AddressNotConfirmed),
        (bob, his, keys.MayNotHaveKeys),
    ]
    before = dump()

    for member, key, error in refusals:
        with pytest.raises(error):
            create(member)
        with pytest.raises(error):
            keys.change(member=member, key_id=key.pk, terms=READING, now=NOW)

    assert dump() == before
    # Being rid of one is always right.
    keys.revoke(key=his, by="test", now=NOW)
    assert not keys.live(bob).exists()


def test_it_makes_one_key_of_a_form_sent_twice(alice: Member) -> None:
    form_id = uuid.uuid4()
    deed = partial(keys.create, member=alice, terms=READING, now=NOW, form_id=form_id)
    deed()

    with pytest.raises(keys.CreatedAlready):
        deed()

    assert ApiToken.objects.count() == 1


@pytest.mark.races
def test_it_makes_one_key_of_a_form_sent_at_once(alice: Member) -> None:
    form_id = uuid.uuid4()
    deed = partial(keys.create, member=alice, terms=READING, now=NOW, form_id=form_id)

    results = at_once(*[deed] * 8)

    assert count(results, tokens.Issued) == ApiToken.objects.count() == 1
    assert count(results, keys.CreatedAlready) == 7


@pytest.mark.races
@pytest.mark.parametrize("is_locked", [False, True])
def test_it_lets_nobody_have_too_many(
    alice: Member, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    monkeypatch.setattr(keys, "KEYS_MAX", 3)
    create(alice)
    create(alice)
    if not is_locked:  # the race there would be
        together = Barrier(6, timeout=30)

        def look(member: Member) -> Member:
            together.wait()
            found: Member = Member.objects.get(pk=member.pk)
            return found

        monkeypatch.setattr(members, "lock_member", look)

    results = at_once(*[partial(create, alice)] * 6)

    if is_locked:
        assert count(results, tokens.Issued) == 1
        assert count(results, keys.TooManyKeys) == 5
    else:
        assert count(results, tokens.Issued) > 1


@pytest.mark.promise("S-47")
def test_the_database_itself_wants_networks_for_withdrawals(alice: Member) -> None:
    key = create(alice).token

    with pytest.raises(IntegrityError):
        ApiToken.objects.filter(pk=key.pk).update(scopes="trade withdraw")


# --- Change -------------------------------------------------------------------------


@pytest.mark.promise("S-49")
def test_it_changes_what_a_key_may_do_from_the_next_request_on(alice: Member) -> None:
    issued = create(alice)
    use(issued, address="198.51.100.1")
    terms = Terms("Robot", ("read", "withdraw"), ["192.0.2.0/24"], NOW + 400 * DAY)

    key = keys.change(member=alice, key_id=issued.token.pk, terms=terms, now=NOW)

    assert (key.label, key.scopes) == ("Robot", "read withdraw")
    with pytest.raises(tokens.AddressNotTrusted):
        use(issued, at=NOW + timedelta(seconds=1), address="198.51.100.1")
    use(issued, at=NOW + timedelta(seconds=1), address="192.0.2.9")
    subjects = Mail.objects.order_by("pk").values_list("subject", flat=True)
    assert list(subjects) == ["An API key was created", "An API key was changed"]
    deed = AuditRecord.objects.get(action="token_changed")
    assert deed.facts["fields"] == ["label", "scopes", "trusted_ips", "expires_at"]
    assert "192.0.2" not in str(deed.facts)


def test_it_tells_nobody_of_a_change_that_is_none(alice: Member) -> None:
    key = create(alice).token
    before = dump()

    terms = Terms(key.label, key.scopes.split(), key.trusted_ips, key.expires_at)
    keys.change(member=alice, key_id=key.pk, terms=terms, now=NOW + DAY)

    assert dump() == before


def test_it_renames_a_key_of_old_that_has_no_end(alice: Member) -> None:
    key = make_token(alice).token
    ApiToken.objects.filter(pk=key.pk).update(expires_at=None)

    renamed = Terms("Old faithful", ("all",))
    found = keys.change(member=alice, key_id=key.pk, terms=renamed, now=NOW)
    opened = Terms("Old faithful", ("all",), ["192.0.2.7"])
    keys.change(member=alice, key_id=key.pk, terms=opened, now=NOW)
    closed = keys.change(member=alice, key_id=key.pk, terms=renamed, now=NOW)

    assert (found.label, found.expires_at) == ("Old faithful", None)
    # Without its list again it is as any other.
    assert closed.expires_at == NOW + tokens.LIFE_ANYWHERE


@pytest.mark.promise("S-69")
def test_it_changes_nobody_elses_key(alice: Member, mallory: Member) -> None:
    key, gone = create(alice).token, create(mallory).token
    keys.revoke(key=gone, by="test", now=NOW)
    before = dump()

    for key_id in (key.pk, gone.pk, 10**12):
        with pytest.raises(keys.NoSuchKey):
            keys.change(member=mallory, key_id=key_id, terms=READING, now=NOW)
        with pytest.raises(keys.NoSuchKey):
            keys.of(mallory, key_id)

    assert dump() == before


# --- Revoke -------------------------------------------------------------------------


@pytest.mark.promise("S-49")
def test_it_revokes_at_once_and_twice_is_once(alice: Member) -> None:
    issued = create(alice)
    use(issued)

    for _ in range(2):
        keys.revoke(key=issued.token, by=f"member:{alice.pk}", now=NOW)

    with pytest.raises(tokens.UnknownKey):
        use(issued, at=NOW + timedelta(seconds=1))
    assert Mail.objects.filter(subject="An API key was revoked").count() == 1
    assert AuditRecord.objects.filter(action="token_revoked").count() == 1
    assert not keys.live(alice).exists()


@pytest.mark.promise("S-49")
@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"scopes": "profile"}, False),
        ({"trusted_ips": ["10.0.0.0/8"]}, False),
        ({"expires_at": NOW}, False),
        ({"revoked_at": NOW}, False),
    ],
)
def test_an_open_socket_holds_only_while_its_key_does(
    alice: Member, changes: dict[str, Any], is_good: bool
) -> None:
    key = create(alice).token
    claim = tokens.Claim(key.pk, alice.pk, "192.0.2.1", ("history", "trade"))

    ApiToken.objects.filter(pk=key.pk).update(**changes)

    assert (claim in tokens.still_good({claim}, now=NOW)) is is_good


# --- Last use -----------------------------------------------------------------------


@pytest.mark.promise("S-49")
def test_it_says_when_and_where_a_key_was_last_used(alice: Member) -> None:
    issued = create(alice)
    for seconds, address in ((0, "192.0.2.1"), (59, "192.0.2.2")):
        use(issued, at=NOW + timedelta(seconds=seconds), address=address)

    within_a_minute = TokenUse.objects.get()
    use(issued, at=NOW + timedelta(seconds=60), address="2001:db8::1")
    later = TokenUse.objects.get()

    assert (within_a_minute.at, within_a_minute.address) == (NOW, "192.0.2.1")
    assert later.at == NOW + timedelta(seconds=60)
    assert later.address == "2001:db8::1"


@pytest.mark.parametrize(
    ("address", "noted"),
    [("", None), ("unknown", None), ("fe80::1%eth0", "fe80::1")],
)
def test_it_notes_a_use_from_wherever(
    alice: Member, address: str, noted: str | None
) -> None:
    use(create(alice), address=address)

    assert TokenUse.objects.get().address == noted


def test_several_processes_write_once_a_minute(
    alice: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = create(alice)
    use(issued, address="192.0.2.1")
    monkeypatch.setattr(last_use, "_noted", {})  # another process knows nothing of it

    use(issued, at=NOW + timedelta(seconds=30), address="192.0.2.2")

    assert TokenUse.objects.get().address == "192.0.2.1"


@pytest.mark.promise("S-49")
def test_a_refused_request_is_no_use(alice: Member) -> None:
    issued = create(alice)
    deeds: list[Callable[[], object]] = [
        lambda: use(tokens.Issued(issued.token, issued.access_key, "guessed")),
        lambda: use(issued, at=NOW + 91 * DAY),
    ]

    for deed in deeds:
        with pytest.raises(ExchangeError):
            deed()

    assert not TokenUse.objects.exists()
