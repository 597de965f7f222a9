"""
What becomes of a line of a statement: matched, accepted by an operator, booked once.

A line is matched by what stands in its text: a member's code, or the number W7 of a
withdrawal. Whose account it came from is a hint, and no more. Nothing is booked without
an operator's word; not by the one whose money it is, nor, where no bank's file says so,
by the one who wrote the line down or said whose it is.

Rows are locked in this order: the channel where lines are written, the member, the
line, the withdrawal and its transfer, balances.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from accounts import identity, members, notices
from accounts.models.members import Member
from exchange.lib import audit
from exchange.lib.errors import BrokenPromise, Conflict, NotAllowed, Refused
from exchange.lib.money import ZERO, plain
from exchange.lib.states import IllegalMove, advance, lock_row
from exchange.lib.transactions import transaction, transaction_required
from wallets import deposits, ledger
from wallets.bank import codes, statements, transfers
from wallets.bank.accounts import bare
from wallets.bank.statements import Bad, Line
from wallets.ledger import AVAILABLE, House, Move, Reason
from wallets.models.bank import (
    BankChannel,
    BankLine,
    BankReference,
    BankStatement,
    BankTransfer,
)
from wallets.models.currencies import Currency
from wallets.models.withdrawals import Beneficiary

State = BankLine.State
# What an operator reads beside a line that is not accepted like the others.
DOUBTS = {
    "third_party": _("The payer is not called like the member."),
    "no_payer": _("The bank does not say who paid."),
    "below_minimum": _("It is less than the least."),
    "several_codes": _("Codes of several members stand in it."),
    "several_numbers": _("Numbers of several withdrawals stand in it."),
    "other_amount": _("The withdrawal in its text is of another amount."),
}
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])W([0-9]{1,15})(?![0-9A-Za-z])", re.IGNORECASE | re.ASCII
)


class HasBadLines(Refused):
    """Nothing was read in, because some lines cannot be. Facts: lines."""

    code = "bad_bank_lines"


class KnownLine(Conflict):
    """The channel has a line with this number already."""

    code = "known_bank_line"
    text = _("A line with this number of the bank is there already.")


class Doubtful(Refused):
    """There are doubts, and nobody has said that it is right all the same."""

    code = "doubtful_bank_line"
    text = _("There are doubts about this line. Please look at it by itself.")


class NothingMatched(Conflict):
    """Nobody has said whose it is, or it was given to somebody else meanwhile."""

    code = "bank_line_not_matched"
    text = _("This line is not matched, or has been matched anew. Please look again.")


class FourEyes(NotAllowed):
    """Who wrote a line down, or said whose it is, does not accept it."""

    code = "bank_line_needs_another"
    text = _("Somebody else has to accept what you wrote down or assigned.")


class Closed(Refused):
    """A closed account is credited nothing."""

    code = "bank_line_of_closed_member"
    text = _("The account of this member is closed.")


class NotIncoming(Refused):
    """Money that left belongs to no depositor."""

    code = "bank_line_not_incoming"
    text = _("This money left our account: it is nobody's deposit.")


@dataclass(frozen=True, slots=True)
class Preview:
    """What reading a file would do."""

    sha256: str
    is_known: bool  # the file
    added: list[BankLine]
    known: int
    bad: list[Bad]

    @property
    def matched(self) -> int:
        return sum(row.state == State.MATCHED for row in self.added)

    @property
    def unmatched(self) -> int:
        return len(self.added) - self.matched


def reference_for(
    *, member: Member, channel: BankChannel, now: datetime
) -> BankReference:
    """Return the member's code for a channel, making it on first touch; races agree."""
    mine = BankReference.objects.filter(member=member, channel=channel)
    for _try in range(5):
        if found := mine.order_by("pk").first():
            return found
        row = BankReference(
            member=member, channel=channel, code=codes.make(), created_at=now
        )
        BankReference.objects.bulk_create([row], ignore_conflicts=True)
    raise BrokenPromise("Five random codes were all taken.")


def channels_of(currency: str) -> list[BankChannel]:
    """Return where members may pay a currency to."""
    rows = BankChannel.objects.filter(currency=currency, takes_deposits=True)
    return list(rows.order_by("name"))


def of(member: Member, currency: str) -> list[BankLine]:
    """Return what came for a member by bank, newest first."""
    rows = BankLine.objects.filter(
        member=member, channel__currency=currency, amount__gt=0
    ).exclude(state=State.IGNORED)
    return list(rows.order_by("-pk"))


# --- Reading in ----------------------------------------------------------------------


def preview(*, channel: BankChannel, content: bytes, now: datetime) -> Preview:
    """Return what reading a file would do; nothing is written. Raises BadStatement."""
    found = statements.read(channel, content)
    is_known = BankStatement.objects.filter(channel=channel, sha256=found.sha256)
    fresh, bad = _fresh(channel, found)
    rows = [_unsaved(channel, line, by="", now=now) for line in fresh]
    for row in rows:
        _match(row)
    return Preview(
        sha256=found.sha256,
        is_known=is_known.exists(),
        added=rows,
        known=len(found.lines) - len(fresh) - len(bad),
        bad=sorted([*found.bad, *bad]),
    )


def read_in(
    *, channel: BankChannel, content: bytes, by: str, now: datetime
) -> tuple[BankStatement, bool]:
    """
    Write down the lines of a file, all or none, and match them. Return the statement,
    and whether it is new: the same file twice is the same statement.

    Raises BadStatement, HasBadLines.
    """
    found = statements.read(channel, content)
    with transaction():
        channel = lock_row(channel)
        earlier = BankStatement.objects.filter(channel=channel, sha256=found.sha256)
        if known := earlier.order_by("pk").first():
            return known, False
        fresh, bad = _fresh(channel, found)
        bad = sorted([*found.bad, *bad])
        if bad:
            raise HasBadLines(
                translated("Nothing was read in: %(count)s lines cannot be read.")
                % {"count": len(bad)},
                lines=[list(each) for each in bad],
            )
        statement = BankStatement.objects.create(
            channel=channel,
            sha256=found.sha256,
            imported_by=by,
            imported_at=now,
            added=len(fresh),
            known=len(found.lines) - len(fresh),
        )
        audit.record(
            by,
            "bank_statement_imported",
            audit.label(statement),
            sha256=found.sha256,
            added=len(fresh),
        )
        for line in fresh:
            _write(_unsaved(channel, line, statement=statement, by=by, now=now))
    return statement, True


def enter(*, channel: BankChannel, line: Line, by: str, now: datetime) -> BankLine:
    """Write down one line by hand, and match it. Raises BadLine, KnownLine."""
    line = statements.demand_sound(channel, line)
    with transaction():
        channel = lock_row(channel)
        if channel.lines.filter(bank_txid=line.bank_txid).exists():
            raise KnownLine
        row = _write(_unsaved(channel, line, by=by, now=now))
        audit.record(
            by, "bank_line_entered", audit.label(row), amount=plain(row.amount)
        )
    return row


# --- Deciding ------------------------------------------------------------------------


def accept(
    *,
    line: BankLine,
    operator: Member,
    now: datetime,
    reason: str = "",
    despite_doubts: bool = False,
) -> BankLine:
    """
    Book what a line was matched to: credit its owner, or settle its withdrawal. Safe to
    repeat.

    Raises NothingMatched, Doubtful, FourEyes, Closed, transfers.OwnMoney, IllegalMove,
    and for a withdrawal what transfers.book_paid raises, or ReturnedOtherwise.
    """
    with transaction():
        seen = BankLine.objects.select_related("member", "transfer").get(pk=line.pk)
        owner = members.lock_member(seen.member) if seen.member else None
        line = lock_row(line)
        if line.state in {State.CREDITED, State.SETTLED}:
            return line
        if (line.member_id, line.transfer_id) != (seen.member_id, seen.transfer_id):
            raise NothingMatched
        _demand_acceptable(line, operator, despite_doubts=despite_doubts)
        by = f"operator:{operator.pk}"
        if owner is not None:
            return _credit(line, owner, by=by, now=now, reason=reason)
        if line.transfer is not None:
            return _settle(line, line.transfer, operator, by=by, now=now, reason=reason)
        raise NothingMatched


def assign(
    *, line: BankLine, member: Member, operator: Member, reason: str
) -> BankLine:
    """
    Say whose a line is; another operator accepts it. Raises NotIncoming, IllegalMove,
    transfers.OwnMoney.
    """
    transfers.demand_other(member.pk, operator)
    by = f"operator:{operator.pk}"
    with transaction():
        line = _locked_for(line, operator)
        if line.amount < ZERO:
            raise NotIncoming
        if line.state not in {State.NEW, State.MATCHED}:
            raise IllegalMove(state=str(line.state), move="assign")
        line.member, line.transfer, line.matched_by = member, None, by
        line.state, line.doubts = State.MATCHED, sorted(_doubts(line, member))
        line.save(update_fields=["member", "transfer", "matched_by", "state", "doubts"])
        audit.record(
            by, "bank_line_assigned", audit.label(line), member=member.pk, reason=reason
        )
    return line


def send_back(*, line: BankLine, operator: Member, reason: str) -> BankLine:
    """
    Take down that the money goes back to who paid it. Raises IllegalMove and
    transfers.OwnMoney.
    """
    with transaction():
        by = f"operator:{operator.pk}"
        line = _locked_for(line, operator)
        return advance(line, "send_back", by=by, reason=reason)


def ignore(*, line: BankLine, operator: Member, reason: str) -> BankLine:
    """
    Take down that a line concerns no member: the bank's own fees. Raises IllegalMove
    and transfers.OwnMoney.
    """
    with transaction():
        line = _locked_for(line, operator)
        return advance(line, "ignore", by=f"operator:{operator.pk}", reason=reason)


def reverse(
    *, line: BankLine, operator: Member, reason: str, now: datetime
) -> BankLine:
    """
    Undo a credit that the bank took back: the owner gives what is there, the house the
    rest; the account is frozen. Safe to repeat. Raises IllegalMove, transfers.OwnMoney.
    """
    with transaction():
        # Of what was credited, nobody says any more whose it is.
        seen = BankLine.objects.select_related("member").get(pk=line.pk)
        transfers.demand_other(seen.member_id, operator)
        owner = members.lock_member(seen.member) if seen.member else None
        before = lock_row(line)
        by = f"operator:{operator.pk}"
        line = advance(before, "reverse", by=by, reason=reason)
        if before.state == line.state:
            return line
        cause = f"bank_line:{line.pk}:reversed"
        moves = deposits.taking_back(
            member_id=line.member_id,
            currency=line.channel.currency_id,
            amount=line.amount,
            holder=House.BANK,
            cause=cause,
        )
        ledger.post_once(cause, list(moves), at=now)
        audit.alarm(
            audit.label(line), "credited_bank_line_gone", amount=plain(line.amount)
        )
        if owner is not None:
            deposits.freeze_owner(
                owner,
                reason=f"the bank took a credited deposit back: {line.bank_txid}",
            )
    return line


def _locked_for(line: BankLine, operator: Member) -> BankLine:
    """
    Return a line, locked, about which an operator may decide: it is held neither for
    their deposit nor for their withdrawal. Raises transfers.OwnMoney.
    """
    line = lock_row(line)
    transfers.demand_other(line.member_id, operator)
    if line.transfer is not None:
        transfers.demand_other(line.transfer.withdrawal.member_id, operator)
    return line


def _demand_acceptable(
    line: BankLine, operator: Member, *, despite_doubts: bool
) -> None:
    transfers.demand_other(line.member_id, operator)
    by = f"operator:{operator.pk}"
    is_by_hand = line.statement_id is None
    if line.matched_by == by or (is_by_hand and line.entered_by == by):
        raise FourEyes
    if line.doubts and not despite_doubts:
        raise Doubtful


@transaction_required
def _credit(
    line: BankLine,
    owner: Member,
    *,
    by: str,
    now: datetime,
    reason: str,
) -> BankLine:
    if owner.state == Member.State.CLOSED:
        raise Closed
    line = advance(line, "credit", by=by, at=now.isoformat(), reason=reason)
    currency = line.channel.currency_id
    cause = f"bank_line:{line.pk}"
    move = Move(
        ledger.house(House.BANK, currency),
        AVAILABLE,
        ledger.account_of(member_id=owner.pk, currency=currency),
        AVAILABLE,
        line.amount,
        Reason.DEPOSIT.value,
        cause,
    )
    ledger.post_once(cause, [move], at=now)
    notices.tell(
        owner,
        notices.Event.DEPOSIT_CREDITED,
        amount=plain(line.amount),
        currency=currency.upper(),
        txid=line.bank_txid,
    )
    return line


@transaction_required
def _settle(
    line: BankLine,
    transfer: BankTransfer,
    operator: Member,
    *,
    by: str,
    now: datetime,
    reason: str,
) -> BankLine:
    transfers.demand_other(transfer.withdrawal.member_id, operator)
    line = advance(line, "settle", by=by, reason=reason)
    if line.amount < ZERO:
        transfers.book_paid(transfer, line.bank_txid, by=by, now=now)
    else:
        lock_row(transfer.withdrawal)
        transfer = lock_row(transfer)
        if transfer.paid_at is None:  # that it left is booked first
            raise IllegalMove(state=str(transfer.state), move="come_back")
        transfers.book_return(transfer, by=by, now=now, line=str(line.pk))
        # Its withdrawal is locked by now, so that of two lines one sees the other.
        others = transfer.lines.filter(state=State.SETTLED, amount__gt=ZERO)
        if others.exclude(pk=line.pk).exists():
            raise transfers.ReturnedOtherwise
    return line


# --- Matching ------------------------------------------------------------------------


def _write(row: BankLine) -> BankLine:
    _match(row)
    row.save(force_insert=True)
    return row


def _match(row: BankLine) -> None:
    """Say in a row that is not written yet what its text names."""
    _match_transfer(row)
    if row.amount > ZERO and row.transfer is None:
        _match_member(row)
    if row.member is not None or row.transfer is not None:
        row.state, row.matched_by = State.MATCHED, "system"


def _match_transfer(row: BankLine) -> None:
    numbers = {int(number) for number in _NUMBER.findall(row.text.upper())}
    found = BankTransfer.objects.filter(
        channel=row.channel, withdrawal__in=numbers
    ).select_related("withdrawal__member")
    # What comes back, too, while it is in hand: one file may have both lines.
    wanted = [BankTransfer.State.TAKEN, BankTransfer.State.PAID]
    rows = list(found.filter(state__in=wanted).order_by("pk"))
    if len(rows) > 1:
        row.doubts = ["several_numbers"]
    elif rows and rows[0].withdrawal.net == abs(row.amount):
        row.transfer = rows[0]
        if row.amount > ZERO:
            # Anybody may write the number of a withdrawal into what they pay.
            row.doubts = sorted(_doubts_of_payer(row, rows[0].withdrawal.member))
    elif rows:
        row.doubts = ["other_amount"]


def _match_member(row: BankLine) -> None:
    found = BankReference.objects.filter(
        channel=row.channel, code__in=codes.found_in(row.text)
    ).select_related("member")
    owners = {each.member for each in found}
    if len(owners) == 1:
        row.member = owners.pop()
        row.doubts = sorted({*row.doubts, *_doubts(row, row.member)})
    elif owners:
        row.doubts = sorted({*row.doubts, "several_codes"})
    row.suggestion = _suggested(row)


def _suggested(row: BankLine) -> Member | None:
    """Return the one member whose address book has the account it came from."""
    wanted = bare(row.payer_account)
    if not wanted:
        return None
    sources = Beneficiary.objects.filter(
        currency=row.channel.currency,
        currency__kind=Currency.Kind.FIAT,
        state=Beneficiary.State.CONFIRMED,
        destination__in={wanted, row.payer_account},
    ).select_related("member")
    owners = {each.member for each in sources}
    return owners.pop() if len(owners) == 1 else None


def _doubts(row: BankLine, member: Member) -> set[str]:
    doubts = _doubts_of_payer(row, member)
    if row.amount < row.channel.deposit_min:
        doubts.add("below_minimum")
    return doubts


def _doubts_of_payer(row: BankLine, member: Member) -> set[str]:
    name = identity.verified_name(member)
    if name is None or are_alike(name, row.payer):
        return set()
    return {"third_party" if row.payer else "no_payer"}


def are_alike(name: str, other: str) -> bool:
    """
    Say whether two names may be one person's: the same words in any order, whatever
    their case and accents; of two words and more, one may have more than the other.
    """
    words, others = _words(name), _words(other)
    fewer, more = sorted([words, others], key=len)
    return bool(fewer) and (fewer == more or (len(fewer) > 1 and fewer <= more))


def _words(name: str) -> set[str]:
    letters = unicodedata.normalize("NFKD", name.casefold())
    bare_letters = "".join(each for each in letters if not unicodedata.combining(each))
    return set(re.findall(r"\w+", bare_letters))


def _fresh(
    channel: BankChannel, found: statements.Read
) -> tuple[list[Line], list[Bad]]:
    """
    Return the lines whose number is not known, and as bad those whose number is, with
    another amount or day.
    """
    rows = channel.lines.filter(bank_txid__in=found.numbers)
    known = {row.bank_txid: (row.amount, row.booked_on) for row in rows}
    fresh = [line for line in found.lines if line.bank_txid not in known]
    why = translated("The bank's number %(id)s is known with another amount or day.")
    bad = [
        Bad(found.numbers[line.bank_txid], why % {"id": line.bank_txid})
        for line in found.lines
        if known.get(line.bank_txid, (line.amount, line.booked_on))
        != (line.amount, line.booked_on)
    ]
    return fresh, bad


def _unsaved(
    channel: BankChannel,
    line: Line,
    *,
    statement: BankStatement | None = None,
    by: str,
    now: datetime,
) -> BankLine:
    return BankLine(
        channel=channel,
        statement=statement,
        entered_by=by,
        created_at=now,
        **line._asdict(),
    )
