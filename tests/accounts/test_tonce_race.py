"""Many copies of one request at the same moment: one works."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from accounts import tonces
from accounts.models.members import Member
from tests.makers import make_token, sign

COPIES = 100
THREADS = 20


@pytest.mark.races
@pytest.mark.promise("S-44")
def test_it_takes_one_of_many_copies(alice: Member) -> None:
    issued, now, start = make_token(alice), timezone.now(), Barrier(THREADS)
    credentials = tonces.Credentials(
        access_key=issued.access_key,
        tonce=str(int(now.timestamp() * 1000)),
        signature=sign("payload", issued.secret_key),
    )

    def copies() -> list[bool]:
        start.wait()
        try:
            return [is_taken() for _ in range(COPIES // THREADS)]
        finally:
            connection.close()

    def is_taken() -> bool:
        try:
            tonces.verify_request(
                credentials=credentials,
                payload="payload",
                scopes=(),
                address="",
                now=now,
            )
        except tonces.TonceUsed:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        runs = [pool.submit(copies) for _ in range(THREADS)]
        taken = [each for run in runs for each in run.result()]

    assert (len(taken), sum(taken)) == (COPIES, 1)
