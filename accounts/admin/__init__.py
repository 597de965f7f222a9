"""Registers what operators see of the accounts, a module for each subject."""

from accounts.admin import joining, keys, members  # noqa: F401  they register themselves
