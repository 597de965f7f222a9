"""Plays the world around the practice chain from the command line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from exchange.lib import money
from exchange.lib.errors import ExchangeError
from wallets import queries, scanner
from wallets.chains import chain_of
from wallets.chains.base import Payment
from wallets.chains.practice import Practice

_BLOCKS_MAX = 1000


class Command(BaseCommand):
    help = "Mine, pay and reorganise on the practice chain. Never on a real chain."

    def add_arguments(self, parser: CommandParser) -> None:
        deeds = parser.add_subparsers(dest="deed", required=True)
        blocks = deeds.add_parser("blocks", help="mine blocks")
        blocks.add_argument("number", type=int)
        pay = deeds.add_parser("pay", help="send coins to an address")
        pay.add_argument("address")
        pay.add_argument("amount", help="in plain notation: 1.5")
        pay.add_argument("currency")
        reorg = deeds.add_parser("reorg", help="let the newest blocks lose")
        reorg.add_argument("depth", type=int)
        status = deeds.add_parser("status", help="say how high each chain is")
        for each in (blocks, reorg, status):
            each.add_argument("currency", nargs="?", help="else every practice chain")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            for code in self._codes(options["currency"]):
                self._do(code, _practice(code), options)
        except ExchangeError as error:
            raise CommandError(error.message) from error

    def _do(self, code: str, chain: Practice, options: dict[str, Any]) -> None:
        match options["deed"]:
            case "blocks":
                chain.mine(_within(options["number"]))
            case "pay":
                amount = money.parse(options["amount"])
                self._pay(chain, options["address"], amount)
            case "reorg":
                depth = _within(options["depth"])
                chain.reorganise(depth)
                # The chain that wins is longer by one.
                chain.mine(depth + 1)
        if options["deed"] != "status":
            scanner.scan(code, now=timezone.now())
        self.stdout.write(f"{code}: height {chain.tip().height}")

    def _pay(self, chain: Practice, address: str, amount: Decimal) -> None:
        if not chain.is_address(address):
            raise CommandError("This is no address of the practice chain.")
        if not amount > 0:
            raise CommandError("Please give an amount above zero.")
        self.stdout.write(chain.pay(Payment(address, amount)))

    def _codes(self, wanted: str | None) -> list[str]:
        if wanted is not None:
            return [wanted.lower()]
        codes = [code for code in queries.coin_codes() if _is_practice(code)]
        if not codes:
            raise CommandError("There is no practice chain here.")
        return codes


def _is_practice(code: str) -> bool:
    try:
        return isinstance(chain_of(code), Practice)
    except ExchangeError:
        return False


def _practice(code: str) -> Practice:
    chain = chain_of(code)
    if not isinstance(chain, Practice):
        raise CommandError(f"The chain of {code} is real: nothing is played there.")
    return chain


def _within(number: int) -> int:
    if not 1 <= number <= _BLOCKS_MAX:
        raise CommandError(f"Please give a number from 1 to {_BLOCKS_MAX}.")
    return number
