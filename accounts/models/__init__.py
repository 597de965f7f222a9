"""Registers the rows of accounts; import classes from their own modules."""

# Django must see every model.
from accounts.models import (  # noqa: F401
    attempts,
    exports,
    factors,
    identity,
    letterbox,
    members,
    proofs,
    sessions,
    sign_ins,
    tickets,
    tokens,
)
