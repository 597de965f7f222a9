"""What is sealed opens for its purpose and its row, and for nothing else."""

from __future__ import annotations

import pytest

from exchange.lib.errors import BrokenPromise
from exchange.lib.sealed import seal, unseal


def test_it_opens_what_it_sealed() -> None:
    sealed = seal(b"a secret", purpose="tests", bound_to="row 7")

    assert b"secret" not in sealed
    assert unseal(sealed, purpose="tests", bound_to="row 7") == b"a secret"


@pytest.mark.parametrize(
    ("purpose", "bound_to"), [("tests", "row 8"), ("mail", "row 7")]
)
def test_it_opens_nowhere_else(purpose: str, bound_to: str) -> None:
    sealed = seal(b"a secret", purpose="tests", bound_to="row 7")

    with pytest.raises(BrokenPromise, match="does not open"):
        unseal(sealed, purpose=purpose, bound_to=bound_to)


def test_it_never_says_the_same_twice() -> None:
    once, again = (seal(b"x", purpose="tests", bound_to="y") for _ in range(2))

    assert once != again
