"""
Reading a bank's statement: CSV as its channel says, whole or not at all.

Amounts are exact: what may be read in two ways is refused, and every line that cannot
be read is named, so that a file is mended once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from exchange.lib import words
from exchange.lib.errors import ExchangeError, Invalid
from exchange.lib.money import ZERO, is_multiple, parse, unit
from wallets.models.bank import BankChannel

BYTES_MAX = 180 * 1024
LINES_MAX = 2000
_LENGTHS = {"bank_txid": 64, "payer": 140, "payer_account": 64, "text": 1000}
_COLUMNS = {
    "bank_txid": "column_bank_id",
    "booked_on": "column_date",
    "amount": "column_amount",
    "payer": "column_payer",
    "payer_account": "column_payer_account",
    "text": "column_text",
}
_DAY = re.compile("[0-9]{8}")
_GROUP = 3  # so many figures stand in a group of thousands
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,' \u00a0\u2019])[0-9]{3})(?:\1[0-9]{3})*")


class BadStatement(Invalid):
    """The file as a whole cannot be read."""

    code = "bad_statement"


class BadLine(Invalid):
    """One line of it cannot be."""

    code = "bad_bank_line"


class Line(NamedTuple):
    """A booking as the bank tells it."""

    bank_txid: str
    booked_on: date
    amount: Decimal
    payer: str = ""
    payer_account: str = ""
    text: str = ""


class Bad(NamedTuple):
    """A line that cannot be read, by its number in the file, and why."""

    number: int
    why: str


class Read(NamedTuple):
    """What is in a file."""

    sha256: str
    lines: list[Line]
    bad: list[Bad]
    numbers: dict[str, int]  # of the lines, by the bank's numbers


def read(channel: BankChannel, content: bytes) -> Read:
    """Return the lines of a file, and those that are bad. Raises BadStatement."""
    rows = _rows(channel, content)
    lines: list[Line] = []
    bad: list[Bad] = []
    numbers: dict[str, int] = {}
    for number, row in rows:
        try:
            line = _line(channel, row)
            if line.bank_txid in numbers:
                raise BadLine(_("The bank's number stands in this file twice."))
        except ExchangeError as error:
            bad.append(Bad(number, error.message))
        else:
            numbers[line.bank_txid] = number
            lines.append(line)
    if not lines and not bad:
        raise BadStatement(_("There is no line in this file."))
    if len(lines) + len(bad) > LINES_MAX:
        raise BadStatement(
            _("More than %(most)s lines: please split the file.") % {"most": LINES_MAX}
        )
    return Read(hashlib.sha256(content).hexdigest(), lines, bad, numbers)


def demand_sound(channel: BankChannel, line: Line) -> Line:
    """Return a line as it is kept. Raises BadLine."""
    texts: dict[str, Any] = {}
    # The same number may come in two ways of writing it: of full width, or composed.
    line = line._replace(bank_txid=numbered(line.bank_txid))
    for name, length in _LENGTHS.items():
        text = " ".join(words.cleaned(getattr(line, name)).split())
        if len(text) > length:
            raise BadLine(_("Too long: %(column)s.") % {"column": name})
        texts[name] = text
    if not texts["bank_txid"]:
        raise BadLine(_("The bank's number is missing."))
    digits = channel.currency.digits
    if digits < _GROUP and _may_be_thousands(line.amount):
        raise _unreadable(str(line.amount))
    if line.amount == ZERO or not is_multiple(line.amount, unit(digits)):
        raise BadLine(
            _("The amount is nothing, or has more than %(digits)s digits.")
            % {"digits": digits}
        )
    return line._replace(**texts)


def numbered(number: str) -> str:
    """Return a number of a bank's in the one way in which we write it: what is seen."""
    marks = {each for each in number if unicodedata.category(each) == "Cf"}
    seen = words.cleaned(number).translate(dict.fromkeys(map(ord, marks)))
    return unicodedata.normalize("NFKC", seen)


def amount_of(text: str, mark: str) -> Decimal:
    """
    Read an amount with a sign, by the decimal mark of its channel.

    Groups of thousands are read only where nothing else can be meant: with a decimal
    mark after them, and another sign between them. Raises BadLine.
    """
    text = text.strip()
    sign, figures = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    whole, is_split, rest = figures.partition(mark)
    grouped = _GROUPED.fullmatch(whole)
    if grouped and is_split and grouped[1] != mark:
        whole = whole.replace(grouped[1], "")
    if not re.fullmatch(r"[0-9]+", whole, re.ASCII) or (is_split and not rest):
        raise _unreadable(text)
    try:
        amount = parse(f"{whole}.{rest}" if is_split else whole)
    except ExchangeError as error:
        raise _unreadable(text) from error
    return amount.copy_negate() if sign == "-" else amount


def _may_be_thousands(amount: Decimal) -> bool:
    """Say whether its decimals may be meant as the last group of a whole number."""
    return amount.as_tuple().exponent == -_GROUP and 1 <= abs(amount) < 10**_GROUP


def _rows(channel: BankChannel, content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    if len(content) > BYTES_MAX:
        raise BadStatement(
            _("The file is larger than %(most)s KiB: please split it.")
            % {"most": BYTES_MAX // 1024}
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadStatement(_("The file is not UTF-8.")) from error
    if "\0" in text:
        raise BadStatement(_("The file is no text."))
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=channel.delimiter, strict=True
    )
    try:
        heads = [head.strip() for head in next(reader, [])]
        _demand_columns(channel, heads)
        for row in reader:
            if any(cell.strip() for cell in row):
                # Too many or too few cells: what is where is then unknown.
                cells = row if len(row) == len(heads) else []
                yield reader.line_num, dict(zip(heads, cells, strict=False))
    except csv.Error as error:
        raise BadStatement(
            _("Line %(number)s is not CSV.") % {"number": reader.line_num}
        ) from error


def _demand_columns(channel: BankChannel, heads: list[str]) -> None:
    wanted = [
        name for column in _COLUMNS.values() if (name := getattr(channel, column))
    ]
    missing = [name for name in wanted if heads.count(name) != 1]
    if missing:
        raise BadStatement(
            _("These columns must be there once: %(names)s.")
            % {"names": ", ".join(missing)}
        )


def _line(channel: BankChannel, row: dict[str, str]) -> Line:
    if not row:
        raise BadLine(_("It has not as many cells as the first line."))
    cells = {
        name: row.get(getattr(channel, column), "") for name, column in _COLUMNS.items()
    }
    line = Line(
        bank_txid=cells["bank_txid"],
        booked_on=_date_of(cells["booked_on"].strip(), channel.date_format),
        amount=amount_of(cells["amount"], channel.decimal_mark),
        payer=cells["payer"],
        payer_account=cells["payer_account"],
        text=cells["text"],
    )
    return demand_sound(channel, line)


def _date_of(text: str, form: str) -> date:
    try:
        # Without signs between them "2026111" is two days, and strptime chooses one.
        if form == BankChannel.DateFormat.DIGITS and not _DAY.fullmatch(text):
            raise ValueError
        return datetime.strptime(text, form).date()  # noqa: DTZ007  a day has no zone
    except ValueError as error:
        raise BadLine(_("This is no date: %(text)s") % {"text": text[:40]}) from error


def _unreadable(text: str) -> BadLine:
    return BadLine(_("This is no plain amount: %(text)s") % {"text": text[:40]})
