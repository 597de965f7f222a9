"""Registers what operators see of the accounts, a module for each subject."""

from accounts.admin import (  # noqa: F401  they register themselves
    factors,
    identity,
    joining,
    keys,
    members,
    roles,
    sign_ins,
    tickets,
)
