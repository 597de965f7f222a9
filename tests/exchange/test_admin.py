"""
The admin: everything is there to be read; history and money are not to be edited.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts import roles
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from accounts.roles import Role
from exchange.lib import audit
from exchange.lib.models import AuditRecord
from markets.models import Market, Order, StateRequest
from tests.makers import ApiClient, fund, make_token, match, prove

OURS = ("accounts", "wallets", "markets", "lib")
MODELS = [model for app in OURS for model in apps.get_app_config(app).get_models()]
# Everything else is written by the exchange alone.
EDITABLE = {
    "BankChannel",
    "Rules",
    "ConfirmationTier",
    "Currency",
    "IdentityLevel",
    "Market",
    "Member",
    "Ticket",
}


def url(model: type[Model], page: str, *args: Any) -> str:
    return reverse(
        f"admin:{model._meta.label_lower.replace('.', '_')}_{page}", args=args
    )


@pytest.mark.promise("S-80")
@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("accounts_member", "password__startswith=pbkdf2"),
        ("accounts_member", "email__startswith=a"),
        ("accounts_member", "email=alice@example.com"),
        ("accounts_phone", "number__startswith=%2B1"),
        ("accounts_apitoken", "member__password__startswith=a"),
        ("wallets_account", "member__email__startswith=a"),
    ],
)
def test_it_filters_by_nothing_but_what_it_offers(
    desk: Client, page: str, lookup: str
) -> None:
    """Or a column that is not shown could be read, letter by letter."""
    answer = desk.get(reverse(f"admin:{page}_changelist") + f"?{lookup}")

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("page", "lookup", "chosen"),
    [
        ("wallets_bankline", "?state__exact=%00", []),
        ("wallets_bankline", "", ["abc"]),
        ("wallets_bankline", "", ["1", "\0"]),
        ("markets_market", "", ["\0"]),
    ],
)
def test_what_cannot_be_a_filter_or_a_key_is_refused(
    desk: Client, page: str, lookup: str, chosen: list[str]
) -> None:
    path = reverse(f"admin:{page}_changelist") + lookup
    action = {"wallets_bankline": "ignore", "markets_market": "halt"}[page]
    if chosen:
        sent = {"action": action, "_selected_action": chosen, "reason": "a test"}
        answer = desk.post(path, sent)
    else:
        answer = desk.get(path)

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("page", "lookup"),
    [
        ("accounts_member", "state__exact=active"),
        ("accounts_member", "groups__id__exact=1"),
        ("wallets_balance", "account__currency__code__exact=btc"),
        ("markets_order", "market__id__exact=btccny&side__exact=buy"),
    ],
)
def test_it_filters_by_what_it_offers(desk: Client, page: str, lookup: str) -> None:
    answer = desk.get(reverse(f"admin:{page}_changelist") + f"?{lookup}")

    assert answer.status_code == 200


def test_an_edit_writes_only_what_was_edited(olive: Member, alice: Member) -> None:
    """A page that was open while somebody was frozen must not thaw them."""
    stale = Member.objects.get(pk=alice.pk)
    Member.objects.filter(pk=alice.pk).update(state="frozen")
    page = admin.site._registry[Member]
    request = RequestFactory().post("/admin/")
    request.user = olive
    shape = page.get_form(request, stale, change=True, fields=["display_name"])
    form = shape({"display_name": "Alice"}, instance=stale)
    assert form.is_valid()

    page.save_model(request, form.save(commit=False), form, change=True)

    alice.refresh_from_db()
    assert (alice.display_name, alice.state) == ("Alice", "frozen")


def test_it_lists_every_model_it_can() -> None:
    missing = {model for model in MODELS if model not in admin.site._registry}

    # Django's admin takes no keys of several columns.
    assert all(model._meta.is_composite_pk for model in missing)


@pytest.mark.promise("A-1", "I-16")
def test_it_lets_nobody_edit_what_the_exchange_writes(olive: Member) -> None:
    request = RequestFactory().get("/admin/")
    request.user = olive

    for model, desk in admin.site._registry.items():
        if model not in MODELS:
            continue
        assert not desk.has_delete_permission(request), model
        if model.__name__ not in EDITABLE:
            # And then approved by others.
            is_proposed = model.__name__ in {"Adjustment", "TreasuryMove"}
            assert desk.has_add_permission(request) == is_proposed, model
            assert not desk.has_change_permission(request), model


def test_it_shows_every_list_and_row(
    desk: Client, alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    alices_bot.post("orders", market="btccny", side="sell", volume="0.1", price="90")
    match("btccny")

    for model in admin.site._registry:
        if model not in MODELS:
            continue
        page = desk.get(url(model, "changelist"), {"q": "1"})
        assert page.status_code == 200, model
        for row in model._default_manager.all()[:3]:
            page = desk.get(url(model, "change", row.pk))
            assert page.status_code == 200, row


def test_it_shows_no_digits_that_say_nothing(
    desk: Client, alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    alices_bot.post("orders", market="btccny", side="sell", volume="0.1", price="90")
    (order,) = Order.objects.all()

    for page in (url(Order, "changelist"), url(Order, "change", order.pk)):
        shown = desk.get(page).text
        assert "90.0" in shown
        assert "0000000" not in shown
    assert desk.get(url(Order, "changelist"), {"o": "-8"}).status_code == 200


@pytest.mark.promise("S-46")
def test_it_never_shows_a_secret(desk: Client, alice: Member) -> None:
    issued = make_token(alice)

    token = desk.get(url(ApiToken, "change", issued.token.pk)).content.decode()
    member = desk.get(url(Member, "change", alice.pk)).content.decode()

    assert issued.access_key in token
    assert issued.secret_key not in token
    assert "secret" not in token
    assert "argon2" not in member


def test_it_keeps_members_out(alice: Member) -> None:
    client = Client()
    client.force_login(alice)

    assert client.get(reverse("admin:index")).status_code == 302


def act(desk: Client, model: type[Model], action: str, row: Model, reason: str) -> None:
    form = {"action": action, "_selected_action": [row.pk], "reason": reason}
    answer = desk.post(url(model, "changelist"), form)
    # Without a reason it is asked for, on a page of its own.
    assert answer.status_code == (302 if reason else 200)


def test_it_halts_a_market_with_a_reason(desk: Client, olive: Member) -> None:
    market = Market.objects.get(pk="btccny")

    act(desk, Market, "halt", market, "")
    act(desk, Market, "halt", market, "the node is stuck")
    match("btccny")

    request = StateRequest.objects.get()
    assert (request.state, request.reason) == ("halted", "the node is stuck")
    assert request.by == f"operator:{olive.pk}"
    assert Market.objects.get(pk="btccny").state == "halted"


def a_market(**changes: str) -> dict[str, str]:
    """The form of a market that does not exist yet."""
    return {
        "id": "ltcusd",
        "base": "ltc",
        "quote": "usd",
        "tick": "0.01",
        "lot": "0.001",
        "amount_min": "0.001",
        "notional_min": "1",
        "open_orders_max": "200",
        "collar": "0.05",
        "maker_fee": "0",
        "taker_fee": "0",
        "sort_order": "5",
        "is_visible": "on",
    } | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"tick": value}
        for value in ("", "NaN", "Infinity", "1e400", "1e-400", "1e37", "0", "-1")
    ]
    + [{"lot": value} for value in ("", "0", "1e30")]
    + [{"amount_min": ""}],
    ids=str,
)
def test_it_says_what_is_wrong_with_a_market(
    desk: Client, changes: dict[str, str]
) -> None:
    answer = desk.post(reverse("admin:markets_market_add"), a_market(**changes))

    assert answer.status_code == 200  # the form again, not a crash
    assert not Market.objects.filter(pk="ltcusd").exists()


def test_a_market_that_was_added_is_matched(
    desk: Client, alice: Member, alices_bot: ApiClient
) -> None:
    answer = desk.post(reverse("admin:markets_market_add"), a_market())
    assert answer.status_code == 302
    fund(alice, "1 ltc")

    alices_bot.post("orders", market="ltcusd", side="sell", volume="0.1", price="90")
    match("ltcusd")

    assert Order.objects.get().state == "open"


def test_it_freezes_a_member_with_a_reason(
    desk: Client, olive: Member, alice: Member
) -> None:
    act(desk, Member, "freeze", alice, "")
    assert Member.objects.get(pk=alice.pk).may_trade

    act(desk, Member, "freeze", alice, "a stolen phone")

    assert not Member.objects.get(pk=alice.pk).may_trade
    deed = AuditRecord.objects.get(action="member_frozen")
    assert deed.actor == f"operator:{olive.pk}"


@pytest.mark.parametrize(
    ("action", "consequence"),
    [("close", "cannot be undone"), ("grant", "may enter this desk")],
)
def test_it_says_what_will_happen_and_to_whom_first(
    desk: Client, alice: Member, bob: Member, action: str, consequence: str
) -> None:
    form = {"action": action, "_selected_action": [alice.pk, bob.pk]}

    page = desk.post(url(Member, "changelist"), form).content.decode()

    assert consequence in page
    for member in (alice, bob):
        assert member.sn in page
        assert f'name="_selected_action" value="{member.pk}"' in page
    assert 'name="reason" maxlength="200" required' in page
    assert ('name="role"' in page) == (action == "grant")
    assert Member.objects.filter(state="closed").count() == 0
    assert not AuditRecord.objects.filter(actor__startswith="operator").exists()


def test_what_can_be_done_to_a_row_begins_on_its_page(
    desk: Client, alice: Member
) -> None:
    active = desk.get(url(Member, "change", alice.pk)).content.decode()
    Member.objects.filter(pk=alice.pk).update(state="frozen")
    frozen = desk.get(url(Member, "change", alice.pk)).content.decode()

    assert 'value="freeze"' in active
    assert 'value="thaw"' not in active
    assert 'value="thaw"' in frozen
    assert 'value="freeze"' not in frozen


@pytest.mark.promise("S-81")
def test_the_history_of_a_row_is_the_audit_trail(
    desk: Client, alice: Member, bob: Member
) -> None:
    for member in (alice, bob):
        act(desk, Member, "freeze", member, f"about {member.sn}")

    page = desk.get(url(Member, "history", alice.pk), follow=True).content.decode()

    assert f"about {alice.sn}" in page
    assert f"about {bob.sn}" not in page


def test_history_is_for_who_may_read_the_trail(alice: Member) -> None:
    roles.grant(member=alice, role=Role.SUPPORT, by="operator:0", reason="a test")
    browser = Client()
    browser.force_login(alice)
    prove(browser, alice)

    page = browser.get(url(Member, "change", alice.pk))
    history = browser.get(url(Member, "history", alice.pk), follow=True)

    assert "historylink" not in page.content.decode()
    assert history.status_code == 403


def test_a_record_shows_whole(desk: Client) -> None:
    record = audit.alarm("market:btccny", "market_stuck", why="x" * 500, seq=7)

    listed = desk.get(url(AuditRecord, "changelist")).content.decode()
    page = desk.get(url(AuditRecord, "change", record.pk)).content.decode()

    assert '<b class="alarm">' in listed
    assert "x" * 500 not in listed
    assert "x" * 500 in page
    assert str(record.at.year) in page


@pytest.mark.promise("S-19")
def test_it_ends_a_members_sessions_with_a_reason(
    desk: Client, olive: Member, alice: Member
) -> None:
    browser = Client()
    browser.force_login(alice)

    act(desk, Member, "end_sessions", alice, "a stolen phone")

    assert browser.get("/account").status_code == 302
    assert desk.get(reverse("admin:index")).status_code == 200
    deed = AuditRecord.objects.get(action="sessions_ended")
    assert deed.actor == f"operator:{olive.pk}"
    assert deed.facts == {"count": 1, "reason": "a stolen phone"}


def test_it_revokes_a_key(desk: Client, alice: Member) -> None:
    issued = make_token(alice)

    act(desk, ApiToken, "revoke", issued.token, "")
    assert ApiToken.objects.get(pk=issued.token.pk).revoked_at is None

    act(desk, ApiToken, "revoke", issued.token, "found in a public place")

    assert ApiToken.objects.get(pk=issued.token.pk).revoked_at is not None
    deed = AuditRecord.objects.get(action="token_revoked")
    assert deed.facts == {"reason": "found in a public place"}


def terms(market: Market, **changes: object) -> dict[str, object]:
    """Fill in the market's form."""
    names = (
        "tick lot amount_min notional_min open_orders_max collar maker_fee taker_fee"
    )
    form = {name: getattr(market, name) for name in [*names.split(), "sort_order"]}
    return {**form, "is_visible": "on", **changes}


def test_it_edits_a_market_on_the_record(desk: Client) -> None:
    market = Market.objects.get(pk="btccny")

    answer = desk.post(
        url(Market, "change", market.pk), terms(market, taker_fee="0.003")
    )

    assert answer.status_code == 302
    assert str(Market.objects.get(pk="btccny").taker_fee) == "0.003"
    deed = AuditRecord.objects.get(subject="market:btccny")
    assert deed.action == "edited"
    assert (deed.facts["before"], deed.facts["after"]) == (
        {"taker_fee": "0.002"},
        {"taker_fee": "0.003"},
    )


def test_it_keeps_the_grid_of_a_market_in_use(
    desk: Client, alice: Member, alices_bot: ApiClient
) -> None:
    fund(alice, "1 btc")
    alices_bot.post("orders", market="btccny", side="sell", volume="0.1", price="90")
    assert Order.objects.exists()
    market = Market.objects.get(pk="btccny")

    answer = desk.post(url(Market, "change", market.pk), terms(market, tick="0.02"))

    assert answer.status_code == 200
    assert "Tick and lot are fixed" in answer.content.decode()
    assert Market.objects.get(pk="btccny").tick == market.tick


def test_it_keeps_trades_exact(desk: Client) -> None:
    market = Market.objects.get(pk="btccny")

    answer = desk.post(
        url(Market, "change", market.pk), terms(market, lot="0.000000001")
    )

    assert answer.status_code == 200
    assert Market.objects.get(pk="btccny").lot == market.lot


def test_it_sends_strangers_to_our_own_sign_in(db: None) -> None:
    answer = Client().get("/admin/", follow=True)

    assert answer.redirect_chain[-1][0] == "/signin?next=%2Fadmin%2F"


def test_it_shows_members_the_door_without_going_in_circles(bob: Member) -> None:
    client = Client()
    client.force_login(bob)

    answer = client.get("/admin/", follow=True)

    assert answer.status_code == 403
