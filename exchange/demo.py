"""
The demo: members everybody can play, a few hours of history, and money to trade with.

History is made by the real pipeline, orders through intake and floor, with the time
passed in. Refused in production.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from accounts import members
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import NotAllowed
from exchange.lib.models import AuditRecord
from exchange.lib.money import round_down
from markets import feed, orders
from markets.floor_host import Host
from markets.models import Market, Order, Side
from markets.orders import Terms
from wallets import ledger
from wallets.queries import balance

PEOPLE = {
    "alice@example.com": False,
    "bob@example.com": False,
    "olive@example.com": True,
}
BOTS = ("maker@example.com", "taker@example.com")

# Where the demo's prices start: believable, and consistent with each other.
START_PRICES = {
    "btccny": Decimal(652000),
    "btcusd": Decimal(91200),
    "ltccny": Decimal(655),
    "ltcbtc": Decimal("0.00100"),
}
GRANTS = {
    "alice@example.com": {"btc": "5", "ltc": "500", "cny": "500000", "usd": "50000"},
    "bob@example.com": {"btc": "1", "ltc": "100", "cny": "1000000", "usd": "100000"},
    "maker@example.com": {
        "btc": "20000",
        "ltc": "2000000",
        "cny": "9000000000",
        "usd": "900000000",
    },
    "taker@example.com": {
        "btc": "20000",
        "ltc": "2000000",
        "cny": "9000000000",
        "usd": "900000000",
    },
}
HISTORY = timedelta(hours=3)
STEP = timedelta(minutes=2)
# Of the price: how far one step walks, how far apart the ladder's steps stand.
WALK = 0.0008
RUNG = Decimal("0.0004")
NOTIONAL = {
    "cny": Decimal(4000),
    "usd": Decimal(600),
    "btc": Decimal("0.006"),
}  # of a usual order


_MADE = "demo_history_made"  # said in the audit trail once it is whole


class DemoInProduction(NotAllowed):
    """Play money has no place where real money is kept."""

    code = "demo_in_production"
    text = _("The demo is refused when PIXIU_ENV is production.")


@dataclass(frozen=True, slots=True)
class Person:
    """A demo member as told to whoever starts the exchange."""

    email: str
    password: str
    is_new: bool


def invite(*, now: datetime) -> list[Person]:
    """
    Make the demo's members where they are missing. Their passwords are made up once and
    kept in the data folder, so that they can be printed at every start.
    """
    _refuse_in_production()
    passwords = _passwords()
    people = []
    for email, is_operator in PEOPLE.items():
        is_new = not Member.objects.filter(email=email).exists()
        if is_new:
            members.create(
                email=email,
                password=passwords[email],
                is_operator=is_operator,
                now=now,
            )
        people.append(Person(email, passwords[email], is_new))
    return people


def stock(*, now: datetime, progress: Callable[[int], None]) -> bool:
    """
    Give everybody demo money and make the history, once; return whether it was made.
    `progress` is told the percentage done.
    """
    _refuse_in_production()
    if AuditRecord.objects.filter(action=_MADE).exists():
        return False
    _enrich(now)
    bots = Member.objects.in_bulk(list(BOTS), field_name="email")
    _History(bots[BOTS[0]], bots[BOTS[1]]).make(now, progress)
    audit.record("system", _MADE, "demo")
    return True


def _enrich(now: datetime) -> None:
    """Make the bots, and give everybody the money they do not have yet."""
    for email in BOTS:
        if not Member.objects.filter(email=email).exists():
            members.create(email=email, password=secrets.token_urlsafe(24), now=now)
    everyone = Member.objects.in_bulk(list(GRANTS), field_name="email")
    for email, amounts in GRANTS.items():
        for currency, amount in amounts.items():
            held = balance(everyone[email].pk, currency)
            if held.available + held.locked:
                continue  # a start that was interrupted got this far
            ledger.grant(
                member_id=everyone[email].pk,
                currency=currency,
                amount=Decimal(amount),
                reference=f"demo:{email}",
                now=now - HISTORY - STEP,
            )


class _History:
    """Hours of trading between two members, step by step, always the same."""

    def __init__(self, maker: Member, taker: Member) -> None:
        self._maker, self._taker = maker, taker
        self._random = random.Random(20150926)  # noqa: S311  prices, not secrets
        self._host = Host()

    def make(self, now: datetime, progress: Callable[[int], None]) -> None:
        with connection.cursor() as cursor:
            # Thousands of small commits, none of which anybody was promised.
            cursor.execute("SET synchronous_commit TO off")
        prices = dict(START_PRICES)
        markets = Market.objects.in_bulk(list(prices))
        steps = list(_steps(now))
        for done, at in enumerate(steps):
            progress(100 * done // len(steps))
            for market_id, market in markets.items():
                drift = Decimal(str(round(self._random.gauss(0, WALK), 6)))
                prices[market_id] *= 1 + drift
                self._trade_a_while(market, prices[market_id], at)
        for market_id, market in markets.items():
            orders.cancel_all(member=self._maker, market_id=market_id, now=now)
            orders.cancel_all(member=self._taker, market_id=market_id, now=now)
            self._run(market, now)
            self._quote(market, prices[market_id], now, rungs=25)
            self._run(market, now)

    def _trade_a_while(self, market: Market, price: Decimal, at: datetime) -> None:
        if at.minute % 10 < 2:  # now and then the maker starts afresh
            orders.cancel_all(member=self._maker, market_id=market.pk, now=at)
            self._run(market, at)
        self._quote(market, price, at, rungs=2)
        for _order in range(self._random.choice((1, 1, 2))):
            side = self._random.choice((Side.BUY, Side.SELL))
            sign = 1 if side == Side.BUY else -1
            limit = round_down(price * (1 + sign * 5 * RUNG), market.tick)
            amount = self._amount(market, price)
            self._place(self._taker, market, _limit(side, limit, amount), at)
        self._run(market, at)

    def _quote(self, market: Market, price: Decimal, at: datetime, rungs: int) -> None:
        for rung in range(1, rungs + 1):
            gap = price * RUNG * (rung - Decimal("0.5"))
            bid = round_down(price - gap, market.tick)
            ask = max(round_down(price + gap, market.tick), bid + market.tick)
            for side, limit in ((Side.BUY, bid), (Side.SELL, ask)):
                amount = self._amount(market, price)
                self._place(self._maker, market, _limit(side, limit, amount), at)

    def _amount(self, market: Market, price: Decimal) -> Decimal:
        usual: Decimal = NOTIONAL[market.quote_id] / price
        spread = Decimal(str(round(self._random.lognormvariate(0, 0.8), 4)))
        least: Decimal = market.amount_min * 10
        return max(round_down(usual * spread, market.lot), least)

    def _place(
        self, member: Member, market: Market, terms: Terms, at: datetime
    ) -> None:
        orders.place(
            member=member, market_id=market.pk, terms=terms, source="demo", now=at
        )

    def _run(self, market: Market, at: datetime) -> None:
        self._host.handle(market.pk, feed.waiting(market.pk), now=at)


def _limit(side: Side, price: Decimal, amount: Decimal) -> Terms:
    return Terms(side.value, Order.Kind.LIMIT.value, price, amount)


def _steps(now: datetime) -> Iterator[datetime]:
    at = now - HISTORY
    while at < now:
        yield at
        at += STEP


def _passwords() -> dict[str, str]:
    path = settings.DATA_DIR / "keys" / "demo-passwords.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = PEOPLE.keys() - kept.keys()
    if missing:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept |= {email: secrets.token_urlsafe(9) for email in sorted(missing)}
        path.touch(mode=0o600)
        path.write_text(json.dumps(kept, indent=1))
    return kept


def _refuse_in_production() -> None:
    if settings.PRODUCTION:
        raise DemoInProduction
