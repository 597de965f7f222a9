"""The demo's members: never where real money is kept."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models.members import Member
from exchange import demo

pytestmark = pytest.mark.django_db


@pytest.mark.promise("S-12")
def test_it_makes_nobody_in_production(settings: Settings) -> None:
    settings.PRODUCTION = True

    with pytest.raises(demo.DemoInProduction):
        demo.invite(now=timezone.now())
    with pytest.raises(demo.DemoInProduction):
        demo.stock(now=timezone.now(), progress=lambda _: None)

    assert not Member.objects.exists()


@pytest.mark.promise("S-12")
def test_it_begins_without_members() -> None:
    # A prepared database: markets and currencies, and nobody with a known password.
    assert not Member.objects.exists()
