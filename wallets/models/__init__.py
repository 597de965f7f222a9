"""Registers the rows of wallets; import classes from their own modules."""

from wallets.models import (  # noqa: F401  Django must see every model
    adjustments,
    bank,
    coins,
    currencies,
    deposits,
    hot,
    ledger,
    practice,
    solvency,
    transfers,
    treasury,
    withdrawals,
)
