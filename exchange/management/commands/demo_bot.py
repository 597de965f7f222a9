"""
The demo's bots: one quotes, one trades, both through the REST API like anybody's bot.

They make the practice market live. Each start takes a new token and revokes the last.
"""

from __future__ import annotations

import http.client
import itertools
import random
import time
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from accounts import tokens
from accounts.models.members import Member
from accounts.models.tokens import ApiToken
from exchange.demo import NOTIONAL, RUNG, START_PRICES
from exchange.lib.client import ApiError, Client
from exchange.lib.money import plain, round_down
from markets.models import Market

LABEL = "demo bot"
LADDER = 15  # orders the maker keeps on each side
PAUSE_SECONDS = {"maker": 0.5, "taker": 0.8}
CALM_SECONDS = 3  # after the exchange could not be reached


class Command(BaseCommand):
    help = "Run one of the demo's bots against the REST API of this exchange."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("role", choices=sorted(PAUSE_SECONDS))

    def handle(self, *args: Any, **options: Any) -> None:
        role: str = options["role"]
        client = self.client(f"{role}@example.com")
        markets = list(Market.objects.filter(pk__in=START_PRICES).order_by("pk"))
        bot = Maker(client) if role == "maker" else Taker(client)
        for market in itertools.cycle(markets):
            try:
                bot.act(market)
            except ApiError as error:
                self.stderr.write(f"{market.pk}: {error}")
            except (OSError, http.client.HTTPException) as error:
                self.stderr.write(f"waiting for the exchange: {error}")
                time.sleep(CALM_SECONDS)
            time.sleep(random.expovariate(1 / PAUSE_SECONDS[role]))

    def client(self, email: str) -> Client:
        member = Member.objects.get(email=email)
        now = timezone.now()
        for old in ApiToken.objects.filter(
            member=member, label=LABEL, revoked_at__isnull=True
        ):
            tokens.revoke(token=old, by="demo", now=now)
        issued = tokens.issue(member=member, label=LABEL, now=now)
        host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104
        url = f"http://{host}:{settings.PORT}"
        return Client(url, issued.access_key, issued.secret_key)


class Maker:
    """Keeps a ladder of orders around a price that wanders."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._random = random.Random()  # noqa: S311

    def act(self, market: Market) -> None:
        """Take off what stands farthest, and quote anew near the middle."""
        price = _middle(self._client, market)
        price *= 1 + Decimal(str(round(self._random.gauss(0, 0.0004), 6)))
        mine = self._client.get("orders", market=market.pk, limit=200)
        for side, sign in (("buy", -1), ("sell", 1)):
            standing = [order for order in mine if order["side"] == side]
            standing.sort(key=lambda each: abs(Decimal(each["price"]) - price))
            for order in standing[LADDER:]:
                self._client.post("order/delete", id=order["id"])
            gap = Decimal(str(round(self._random.uniform(0.3, 3.0), 3))) * RUNG
            limit = round_down(price * (1 + sign * gap), market.tick)
            self._client.post(
                "orders",
                market=market.pk,
                side=side,
                price=plain(limit),
                volume=plain(_amount(self._random, market, price)),
            )


class Taker:
    """Trades now and then at the best price."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._random = random.Random()  # noqa: S311

    def act(self, market: Market) -> None:
        """Buy or sell what somebody offers, now and then through several levels."""
        side = self._random.choice(("buy", "sell"))
        depth = self._client.read("depth", market=market.pk, limit=3)
        # The ancestor's depth lists both sides highest price first.
        levels = depth["asks"][::-1] if side == "buy" else depth["bids"]
        if not levels:
            return
        price = Decimal(self._random.choice(levels[:3])[0])
        self._client.post(
            "orders",
            market=market.pk,
            side=side,
            price=plain(price),
            volume=plain(_amount(self._random, market, price)),
        )
        mine = self._client.get("orders", market=market.pk, limit=50)
        if len(mine) > 10:
            self._client.post("orders/clear")


def _middle(client: Client, market: Market) -> Decimal:
    ticker = client.read(f"tickers/{market.pk}")["ticker"]
    buy, sell = Decimal(ticker["buy"]), Decimal(ticker["sell"])
    if buy and sell:
        return (buy + sell) / 2
    return Decimal(ticker["last"]) or START_PRICES[market.pk]


def _amount(dice: random.Random, market: Market, price: Decimal) -> Decimal:
    spread = Decimal(str(round(dice.lognormvariate(0, 0.8), 4)))
    amount = round_down(NOTIONAL[market.quote_id] / price * spread, market.lot)
    least: Decimal = market.amount_min * 10
    return max(amount, least)
