"""People trade on the market page, in a real browser, on the whole exchange."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.journeys.conftest import Exchange

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


def fill_in(page: Page, *, side: str, price: str, amount: str) -> None:
    """Fill in a limit order the way people do."""
    page.locator(f".sides .{side}").click()
    page.get_by_label("Price", exact=True).fill(price)
    page.get_by_label("Amount", exact=True).fill(amount)


def place(page: Page, **terms: str) -> None:
    fill_in(page, **terms)
    page.locator("#order-submit").click()
    expect(page.locator("#notes")).to_contain_text("sent.")


@pytest.mark.promise("U-5", "U-28", "U-32")
def test_it_places_a_limit_order_and_cancels_it(
    exchange: Exchange, trading: Open
) -> None:
    page = trading(exchange.somebody())
    orders = page.locator("#orders-rows tr")
    in_orders = page.locator("#balances [data-key=cny] [data-cell=locked]")

    place(page, side="buy", price="10000", amount="0.5")
    expect(orders).to_have_count(1)
    expect(orders).to_contain_text(re.compile(r"Buy\s*10000\.00\s*0\.5000\s*0\.0 %"))
    expect(orders).to_contain_text("Open")
    expect(in_orders).to_have_text("5000.00")
    expect(page.locator('#bids tr.own[data-key="10000"]')).to_have_count(1)

    page.get_by_role("button", name="Cancel order").click()
    expect(orders).to_have_count(0)
    expect(in_orders).to_have_text("0.00")
    expect(page.locator('#bids tr[data-key="10000"]')).to_have_count(0)


@pytest.mark.promise("U-10", "U-31", "U-33", "U-39")
def test_it_shows_a_trade_on_every_screen(
    exchange: Exchange, trading: Open, opened: Open
) -> None:
    visitor = opened("/markets/ltccny")
    alice = trading(exchange.somebody(), "ltccny")
    bob = trading(exchange.somebody(), "ltccny")

    place(alice, side="sell", price="61.25", amount="4")
    expect(visitor.locator("#asks tr")).to_contain_text("61.25")
    place(bob, side="buy", price="61.25", amount="3")

    expect(visitor.locator("#trades-rows tr").first).to_contain_text("▲ 61.25")
    expect(visitor).to_have_title("61.25 LTC/CNY · Pixiu")
    expect(bob.locator("#notes")).to_contain_text("Bought 3 LTC at 61.25.")
    expect(alice.locator("#notes")).to_contain_text("Sold 3 LTC at 61.25.")
    expect(alice.locator("#orders-rows tr")).to_contain_text("75.0 %")
    balance = bob.locator("#balances [data-key=ltc] [data-cell=available]")
    expect(balance).to_have_text("12.994")


@pytest.mark.promise("U-26")
def test_it_places_once_however_often_one_clicks(
    exchange: Exchange, trading: Open
) -> None:
    page = trading(exchange.somebody(), "btcusd")
    sent: list[str] = []
    page.on(
        "request",
        lambda request: sent.append(request.url) if request.method == "POST" else None,
    )

    fill_in(page, side="buy", price="100", amount="1")
    page.locator("#order-submit").dblclick()
    page.get_by_label("Amount", exact=True).press("Enter")

    expect(page.locator("#orders-rows tr")).to_have_count(1)
    assert len(sent) == 1


@pytest.mark.promise("U-26")
def test_it_sends_an_unanswered_order_again_under_the_same_id(
    exchange: Exchange, trading: Open
) -> None:
    page = trading(exchange.somebody(), "btcusd")
    lost: list[str] = []

    def lose_the_answer(route: object) -> None:
        lost.append(route.request.post_data)  # type: ignore[attr-defined]
        route.fetch()  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    fill_in(page, side="buy", price="90", amount="1")
    page.route("**/markets/btcusd/orders", lose_the_answer, times=1)
    page.locator("#order-submit").click()
    expect(page.locator("#order-refusal")).to_contain_text("No answer came back.")
    page.locator("#order-submit").click()

    expect(page.locator("#order-refusal")).to_be_empty()
    expect(page.locator("#orders-rows tr")).to_have_count(1)
    assert json.loads(lost[0])["client_id"].startswith("web-")


@pytest.mark.promise("U-20", "U-21", "U-22", "U-23", "U-24")
def test_it_calculates_and_checks_while_one_fills_in(
    exchange: Exchange, trading: Open
) -> None:
    page = trading(exchange.somebody(), "ltcbtc")
    price, amount, total = (
        page.get_by_label(name, exact=True) for name in ("Price", "Amount", "Total")
    )

    page.locator(".sides .sell").click()
    price.fill("0.003005")
    price.blur()
    expect(page.get_by_text("Prices move in steps of 0.00001.")).to_be_visible()
    page.get_by_role("button", name="Use 0.00301").click()
    expect(price).to_have_value("0.00301")
    price.press("Shift+ArrowUp")
    price.press("ArrowDown")
    expect(price).to_have_value("0.0031")

    page.get_by_role("button", name="100 %").click()
    expect(amount).to_have_value("10")
    expect(total).to_have_value("0.031")
    expect(page.locator("#order-fee")).to_have_text("0.00003100 BTC")
    expect(page.locator("#order-receive")).to_have_text("≈ 0.03096900 BTC")

    total.fill("0.005")
    expect(amount).to_have_value("1.612")
    total.blur()
    expect(total).to_have_value("0.0049972")

    amount.fill("10.001")
    amount.blur()
    expect(page.get_by_text("You have 10 available.")).to_be_visible()
    amount.fill("1,5")
    amount.blur()
    expect(page.get_by_text("Use a point for decimals")).to_be_visible()


@pytest.mark.promise("U-4", "U-27")
def test_it_fills_the_form_from_the_book_by_keyboard_too(
    exchange: Exchange, trading: Open
) -> None:
    alice = trading(exchange.somebody(), "btcusd")
    place(alice, side="sell", price="70000", amount="1")
    place(alice, side="sell", price="70001", amount="2")
    prices = alice.locator("#asks button")
    expect(prices).to_have_count(2)

    prices.last.focus()
    alice.keyboard.press("ArrowUp")
    alice.keyboard.press("Enter")
    expect(alice.get_by_label("Price", exact=True)).to_have_value("70001.00")

    alice.locator('#asks tr[data-key="70001"] [data-cell=total]').click()
    expect(alice.get_by_label("Amount", exact=True)).to_have_value("3")
    expect(alice.locator("#order-submit")).to_have_text("Buy BTC")


@pytest.mark.promise("U-29")
def test_it_cancels_all_after_asking_with_the_count(
    exchange: Exchange, trading: Open
) -> None:
    page = trading(exchange.somebody(), "btcusd")
    place(page, side="buy", price="10", amount="1")
    place(page, side="buy", price="11", amount="1")
    expect(page.locator("#orders-rows tr")).to_have_count(2)
    dialog = page.get_by_role("dialog")

    page.locator("#cancel-all").click()
    expect(dialog).to_contain_text("Cancel all 2 open orders in this market?")
    dialog.get_by_role("button", name="Keep them").click()
    expect(page.locator("#orders-rows tr")).to_have_count(2)

    page.locator("#cancel-all").click()
    dialog.get_by_role("button", name="Cancel all").click()
    expect(page.locator("#orders-rows tr")).to_have_count(0)


@pytest.mark.promise("U-8")
def test_it_takes_a_new_snapshot_when_it_missed_a_number(
    exchange: Exchange, trading: Open
) -> None:
    alice = trading(exchange.somebody(), "ltcbtc")
    watcher = alice.context.browser.new_context(base_url=exchange.url).new_page()  # type: ignore[union-attr]
    lost: list[str] = []
    asked: list[str] = []

    def lose_one_update(page_end: WebSocketRoute) -> None:
        server_end = page_end.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            text = str(message)
            if '"type":"update"' in text and not lost:
                lost.append(text)
            else:
                page_end.send(message)

        def ask(message: str | bytes) -> None:
            asked.append(str(message))
            server_end.send(message)

        server_end.on_message(pass_on)
        page_end.on_message(ask)

    watcher.route_web_socket(re.compile("/ws/markets/"), lose_one_update)
    watcher.goto("/markets/ltcbtc")
    expect(watcher.locator("#connection")).to_have_text("Live")

    place(alice, side="sell", price="0.5", amount="1")
    place(alice, side="sell", price="0.6", amount="2")

    expect(watcher.locator('#asks tr[data-key="0.6"]')).to_have_count(1)
    expect(watcher.locator('#asks tr[data-key="0.5"]')).to_have_count(1)
    expect(watcher.locator("#connection")).to_have_text("Live")
    assert len(lost) == 1
    assert '{"type":"resync"}' in asked


@pytest.mark.promise("U-35")
def test_it_veils_the_book_while_the_connection_is_lost(
    exchange: Exchange, opened: Open
) -> None:
    page = opened("/")
    is_up = True

    def refuse_when_down(page_end: WebSocketRoute) -> None:
        if is_up:
            page_end.connect_to_server()
            ends.append(page_end)
        else:
            page_end.close()

    ends: list[WebSocketRoute] = []
    page.route_web_socket(re.compile("/ws/markets/"), refuse_when_down)
    page.goto("/markets/btccny")
    veil = page.get_by_text("Not live. Reconnecting…")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(veil).to_be_hidden()

    is_up = False
    ends[0].close()
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    expect(veil).to_be_visible()

    is_up = True
    expect(page.locator("#connection")).to_have_text("Live")
    expect(veil).to_be_hidden()


@pytest.mark.promise("U-11")
def test_it_changes_the_period_of_the_candles_and_remembers_it(opened: Open) -> None:
    page = opened("/markets/btccny")
    hour = page.get_by_role("button", name="1h")

    with page.expect_response(re.compile(r"/candles\?period=60&")) as answer:
        hour.click()

    assert answer.value.ok
    expect(hour).to_have_attribute("aria-pressed", "true")
    with page.expect_response(re.compile(r"/candles\?period=60&")):
        page.reload()
    expect(hour).to_have_attribute("aria-pressed", "true")
