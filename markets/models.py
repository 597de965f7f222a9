"""
Rows of the markets: markets, orders, trades, candles, and the floor's own papers.

Prices and amounts are Decimals here; ticks and lots only in the command log, which is
the engine's journal. Orders, trades and commands carry no foreign-key constraints: a
key would lock the market's and the member's row once per order, from every process at
once. Markets and members are never deleted, intake checks both, the audit re-checks.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from exchange.lib import money
from exchange.lib.fields import AmountField, sound_amount

_UNKEYED: dict[str, Any] = {"db_constraint": False, "db_index": False}


class Side(models.TextChoices):
    BUY = "buy"
    SELL = "sell"


class Market(models.Model):
    """
    A base currency traded against a quote currency.

    Every price is a whole number of ticks, every amount a whole number of lots, and
    tick x lot fits the quote's scale, so a trade is exact by construction.
    """

    class State(models.TextChoices):
        OPEN = "open"
        HALTED = "halted"  # cancels only; nothing new is taken, nothing matches

    # Which version of its row this is, where queries.market_of read it.
    version = ""

    id = models.CharField(
        max_length=20,
        primary_key=True,
        validators=[RegexValidator(r"\A[a-z0-9]{4,20}\Z")],
    )
    base = models.ForeignKey(
        "wallets.Currency", on_delete=models.PROTECT, related_name="+"
    )
    quote = models.ForeignKey(
        "wallets.Currency", on_delete=models.PROTECT, related_name="+"
    )
    tick = AmountField(help_text=_("Smallest step of the price, in quote."))
    lot = AmountField(help_text=_("Smallest step of the amount, in base."))
    amount_min = AmountField(help_text=_("Smallest amount of an order, in base."))
    notional_min = AmountField(help_text=_("Smallest price x amount, in quote."))
    open_orders_max = models.PositiveIntegerField(
        default=200, help_text=_("Open orders one member may have in this market.")
    )
    collar = AmountField(
        default=Decimal("0.05"),
        help_text=_(
            "How far from the best price a market order may trade: 0.05 is 5 %."
        ),
    )
    maker_fee = AmountField(default=0, help_text=_("Rate: 0.001 is 0.1 %."))
    taker_fee = AmountField(default=0, help_text=_("Rate: 0.001 is 0.1 %."))
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    halt_reason = models.CharField(max_length=200, blank=True, default="")
    is_visible = models.BooleanField(default=True)
    sort_order = models.PositiveSmallIntegerField(default=9999)

    class Meta:
        constraints = [
            sound_amount("tick", "tick_is_positive"),
            sound_amount("lot", "lot_is_positive"),
            sound_amount("amount_min", "amount_min_is_positive"),
            sound_amount("notional_min", "notional_min_is_sound", zero_allowed=True),
            models.CheckConstraint(
                condition=Q(collar__gt=0, collar__lt=1), name="collar_is_a_fraction"
            ),
            models.CheckConstraint(
                condition=Q(maker_fee__gte=0, maker_fee__lt="0.5"),
                name="maker_fee_is_a_rate",
            ),
            models.CheckConstraint(
                condition=Q(taker_fee__gte=0, taker_fee__lt="0.5"),
                name="taker_fee_is_a_rate",
            ),
            models.CheckConstraint(
                condition=~Q(base=F("quote")), name="base_is_not_quote"
            ),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def name(self) -> str:
        """The way people write it: BTC/CNY."""
        return f"{self.base_id}/{self.quote_id}".upper()

    @property
    def price_digits(self) -> int:
        return _digits(self.tick)

    @property
    def amount_digits(self) -> int:
        return _digits(self.lot)

    def clean(self) -> None:
        """Hold the operator's edits inside the bounds that keep trades exact."""
        if self.id != f"{self.base_id}{self.quote_id}":
            raise ValidationError({"id": "A market is named base then quote: btccny."})
        if not all(_is_step(step) for step in (self.tick, self.lot, self.amount_min)):
            return  # said at the field, or by its CHECK
        product = money.EXACT.multiply(self.tick, self.lot).normalize(money.EXACT)
        if -int(product.as_tuple().exponent) > self.quote.scale:
            raise ValidationError(
                "Tick x lot has more digits than the quote currency keeps."
            )
        if -int(self.lot.normalize().as_tuple().exponent) > self.base.scale:
            raise ValidationError({"lot": "More digits than the base currency keeps."})
        if not money.is_multiple(self.amount_min, self.lot):
            raise ValidationError({"amount_min": "Must be a whole number of lots."})
        self._refuse_a_new_grid()

    def _refuse_a_new_grid(self) -> None:
        """Tick and lot are what resting orders are counted in: fixed once used."""
        before = Market.objects.filter(pk=self.pk).order_by("pk").first()
        if before is None or (before.tick, before.lot) == (self.tick, self.lot):
            return
        if Order.objects.filter(market_id=self.pk).exists():
            raise ValidationError("Tick and lot are fixed once orders were placed.")


class Order(models.Model):
    """
    What a member wants to trade. Placed by intake as `pending`, moved on by settlement
    only.
    """

    class Kind(models.TextChoices):
        LIMIT = "limit"
        MARKET = "market"

    class State(models.TextChoices):
        PENDING = "pending"  # taken and funded, not yet seen by the engine
        OPEN = "open"  # rests in the book
        FILLED = "filled"
        CANCELLED = "cancelled"
        REJECTED = "rejected"

    class Closed(models.TextChoices):
        """Why an order ended other than filled."""

        REQUESTED = "requested"
        NO_LIQUIDITY = "no_liquidity"
        BUDGET_SPENT = "budget_spent"
        SELF_TRADE = "self_trade"
        MARKET_HALTED = "market_halted"
        QUARANTINED = "quarantined"

    LIVE: ClassVar[list[str]] = [State.PENDING, State.OPEN]

    market = models.ForeignKey(
        Market, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    side = models.CharField(max_length=4, choices=Side)
    kind = models.CharField(max_length=6, choices=Kind)
    # The member's own limit; null for market orders.
    price = AmountField(null=True)
    # The worst price it may trade at: the limit, or a market order's collar.
    price_limit = AmountField()
    # In base; null for a market buy sized by funds.
    amount = AmountField(null=True)
    # In quote; only for a market buy sized by funds.
    funds = AmountField(null=True)
    # What was set aside, and what still is: quote for buys, base for sells.
    locked_at_first = AmountField()
    locked = AmountField()
    filled = AmountField(default=0)  # base traded
    funds_used = AmountField(default=0)  # quote traded
    fees = AmountField(default=0)  # in what the order receives
    trades_count = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    closed_why = models.CharField(
        max_length=16, choices=Closed, null=True, blank=True, default=None
    )
    client_id = models.CharField(max_length=64, null=True, blank=True)
    source = models.CharField(max_length=8, default="web")  # web | api
    # The number under which the engine accepted it: its time priority.
    seq = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Most orders have none: they need not stand in its index.
            models.UniqueConstraint(
                fields=["member", "client_id"],
                condition=Q(client_id__isnull=False),
                name="client_id_is_used_once",
            ),
            sound_amount("price", "order_price_is_positive", null_allowed=True),
            sound_amount("price_limit", "order_price_limit_is_positive"),
            sound_amount("amount", "order_amount_is_positive", null_allowed=True),
            sound_amount("funds", "order_funds_are_positive", null_allowed=True),
            sound_amount("locked_at_first", "order_locks_something"),
            sound_amount("locked", "order_lock_is_sound", zero_allowed=True),
            sound_amount("filled", "order_fill_is_sound", zero_allowed=True),
            sound_amount("funds_used", "order_funds_used_are_sound", zero_allowed=True),
            sound_amount("fees", "order_fees_are_sound", zero_allowed=True),
            models.CheckConstraint(
                condition=Q(kind="limit", price__isnull=False)
                | Q(kind="market", price__isnull=True),
                name="limit_orders_have_a_price",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=False, funds__isnull=True)
                | Q(
                    amount__isnull=True,
                    funds__isnull=False,
                    kind="market",
                    side="buy",
                ),
                name="order_has_one_size",
            ),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(filled__lte=F("amount")),
                name="order_is_not_overfilled",
            ),
            models.CheckConstraint(
                condition=Q(locked__lte=F("locked_at_first")),
                name="order_lock_only_shrinks",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "open"]) | Q(locked=0),
                name="closed_orders_lock_nothing",
            ),
        ]
        indexes = [
            models.Index(
                fields=["market", "side", "price"],
                condition=Q(state="open"),
                name="orders_in_the_book",
            ),
            models.Index(
                fields=["market", "id"],
                condition=Q(state="pending"),
                name="orders_pending",
            ),
            models.Index(fields=["member", "market", "id"], name="orders_of_a_member"),
            models.Index(
                fields=["member", "market"],
                condition=Q(state__in=["pending", "open"]),
                name="orders_live_of_a_member",
            ),
        ]

    def __str__(self) -> str:
        return (
            f"order {self.pk}: {self.side} {self.amount or self.funds} {self.market_id}"
        )


class OpenOrders(models.Model):
    """How many live orders a member has in a market: the counter that holds the cap."""

    pk = models.CompositePrimaryKey("member_id", "market_id")
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    market = models.ForeignKey(
        Market, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    count = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(count__gte=0), name="open_orders_are_counted"
            )
        ]

    def __str__(self) -> str:
        return f"{self.member_id} has {self.count} live orders in {self.market_id}"


class Trade(models.Model):
    """
    A match between a resting order (maker) and an arriving one (taker). Append-only.

    (market, seq, n) names it for ever: the command that caused it, and its place there.
    """

    append_only = True

    market = models.ForeignKey(
        Market, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    seq = models.BigIntegerField()
    n = models.IntegerField()
    price = AmountField()
    amount = AmountField()
    funds = AmountField()  # price x amount, exact
    taker_side = models.CharField(max_length=4, choices=Side)
    maker_order_id = models.BigIntegerField()
    taker_order_id = models.BigIntegerField()
    maker_id = models.BigIntegerField()
    taker_id = models.BigIntegerField()
    maker_fee = AmountField()  # each in what that side receives
    taker_fee = AmountField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["market", "seq", "n"], name="trade_happens_once"
            ),
            sound_amount("price", "trade_price_is_positive"),
            sound_amount("amount", "trade_amount_is_positive"),
            models.CheckConstraint(
                condition=Q(funds=F("price") * F("amount")), name="trade_is_exact"
            ),
            sound_amount("maker_fee", "maker_fee_is_sound", zero_allowed=True),
            sound_amount("taker_fee", "taker_fee_is_sound", zero_allowed=True),
        ]
        indexes = [
            models.Index(fields=["market", "id"], name="trades_of_a_market"),
            models.Index(fields=["market", "created_at"], name="trades_by_time"),
            models.Index(fields=["maker_id", "market", "id"], name="trades_as_maker"),
            models.Index(fields=["taker_id", "market", "id"], name="trades_as_taker"),
            models.Index(fields=["maker_order_id"], name="trades_of_a_maker_order"),
            models.Index(fields=["taker_order_id"], name="trades_of_a_taker_order"),
        ]

    def __str__(self) -> str:
        return (
            f"trade {self.market_id}/{self.seq}/{self.n}: {self.amount} @ {self.price}"
        )


class Candle(models.Model):
    """One minute of a market. Longer periods are derived from these."""

    pk = models.CompositePrimaryKey("market_id", "minute")
    market = models.ForeignKey(
        Market, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    minute = models.DateTimeField()
    open = AmountField()
    high = AmountField()
    low = AmountField()
    close = AmountField()
    volume = AmountField()  # base
    funds = AmountField()  # quote
    trades_count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.market_id} {self.minute:%F %H:%M}: {self.close}"


class Floor(models.Model):
    """
    Who runs a market, and how far it is settled. Raising `epoch` takes the market over;
    every settlement moves `settled_seq` on under the epoch it was started with.
    """

    market = models.OneToOneField(
        Market, on_delete=models.PROTECT, primary_key=True, related_name="floor"
    )
    epoch = models.BigIntegerField(default=0)
    settled_seq = models.BigIntegerField(default=0)
    settled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"floor of {self.market_id}: epoch {self.epoch}, seq {self.settled_seq}"


class Command(models.Model):
    """
    The journal of a market: every command its engine accepted, in the engine's own
    integers. Replaying it from empty gives the same trades. Append-only.
    """

    class Kind(models.TextChoices):
        PLACE = "place"
        CANCEL = "cancel"
        HALT = "halt"
        OPEN = "open"

    append_only = True

    pk = models.CompositePrimaryKey("market_id", "seq")
    market = models.ForeignKey(
        Market, on_delete=models.PROTECT, related_name="+", **_UNKEYED
    )
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=6, choices=Kind)
    # The order's id, or for halt and open the id of the request.
    subject = models.BigIntegerField()
    member_id = models.BigIntegerField(null=True)
    side = models.SmallIntegerField(null=True)  # matching.commands.BUY or SELL
    limit_ticks = models.BigIntegerField(null=True)
    lots = models.BigIntegerField(null=True)
    budget = models.BigIntegerField(null=True)
    rests = models.BooleanField(null=True)
    epoch = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["market", "kind", "subject"], name="command_is_accepted_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.market_id} #{self.seq}: {self.kind} {self.subject}"


class StateRequest(models.Model):
    """An operator's wish to halt or open a market; it travels as orders do."""

    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=Market.State)
    reason = models.CharField(max_length=200)
    by = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())
    done_seq = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.by} wants {self.market_id} {self.state}"


class Quarantined(models.Model):
    """A message or command the floor could not take, kept for a human."""

    market_id = models.CharField(max_length=20)
    at = models.DateTimeField(db_default=Now())
    why = models.CharField(max_length=200)
    payload = models.TextField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "quarantined messages"

    def __str__(self) -> str:
        return f"{self.market_id}: {self.why} (#{self.pk})"


def _is_step(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and 0 < value < 10**12


def _digits(step: Decimal) -> int:
    return max(0, -int(step.normalize().as_tuple().exponent))
