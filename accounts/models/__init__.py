"""Registers the rows of accounts; import classes from their own modules."""

from accounts.models import members, tokens  # noqa: F401  Django must see every model
