"""A mail server that takes a connection and says nothing: nobody waits for it."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models.identity import IdentityLevel
from accounts.models.members import Member
from exchange.lib import mail
from exchange.lib.models import Mail
from tests.makers import fund
from tests.markets.desk import Desk
from tests.wallets.places import COIN, practice_place, rules
from tests.wallets.test_withdrawals import book, make_proof
from wallets import withdrawals
from wallets.withdrawals import Source

SECONDS_MAX = 30


@pytest.mark.promise("F-38")
def test_who_trades_and_withdraws_does_not_wait_for_the_mail(
    alice: Member, settings: Any
) -> None:
    practice_place()
    rules(("0", 1), automatic_up_to=Decimal(100))
    IdentityLevel.objects.update(withdrawal_24h=10**9, withdrawal_30d=10**9)
    fund(alice, f"10 {COIN}")
    beneficiary = book(alice)
    desk = Desk("ltccny")
    with (
        socket.create_server(("127.0.0.1", 0)) as hole,
        ThreadPoolExecutor(1) as pool,
    ):
        hole.settimeout(SECONDS_MAX)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = hole.getsockname()
        settings.EMAIL_TIMEOUT = SECONDS_MAX
        sending = pool.submit(send_all)
        silent, _address = hole.accept()  # from here on it hangs

        order = desk.sell(alice, "1", at="655")
        desk.run()
        row = withdrawals.place(
            member=alice,
            beneficiary=beneficiary,
            amount=Decimal(1),
            source=Source(proof=make_proof(alice)),
            now=timezone.now(),
        )
        assert not sending.done()
        hole.close()
        silent.close()
        assert sending.result(SECONDS_MAX) == 0

    order.refresh_from_db()
    assert (order.state, row.state) == ("open", "review")
    # Nothing is lost: all of it is sent when the server is well.
    waiting = Mail.objects.filter(sent_at=None).count()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    later = timezone.now() + timedelta(hours=2)
    assert mail.send_waiting(now=later) == waiting > 0


def send_all() -> int:
    try:
        return mail.send_waiting(now=timezone.now())
    finally:
        connection.close()
