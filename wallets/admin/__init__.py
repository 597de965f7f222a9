"""Registers what operators see of the wallets, a module for each subject."""

from wallets.admin import (  # noqa: F401  they register themselves
    adjustments,
    bank,
    books,
    coins,
    deposits,
    payouts,
    transfers,
    treasury,
    withdrawals,
)
