"""Registers the rows of wallets; import classes from their own modules."""

from wallets.models import currencies, ledger  # noqa: F401  Django must see every model
