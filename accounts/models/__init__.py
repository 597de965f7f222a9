"""Registers the rows of accounts; import classes from their own modules."""

# Django must see every model.
from accounts.models import identity, members, proofs, sessions, tokens  # noqa: F401
