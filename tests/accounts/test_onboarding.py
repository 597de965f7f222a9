"""The first steps: each is known to be done by who owns its subject."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts import onboarding
from accounts.models.members import Member
from accounts.onboarding import Step
from markets import orders
from tests.makers import fund

pytestmark = [pytest.mark.django_db, pytest.mark.promise("U-78")]


def done(member: Member) -> set[Step]:
    stages = onboarding.progress(member).stages
    return {stage.step for stage in stages if stage.is_done}


def test_it_names_the_steps_in_their_order(bob: Member) -> None:
    stages = onboarding.progress(bob).stages

    assert [stage.step for stage in stages] == [
        Step.ACTIVATION,
        Step.FACTOR,
        Step.IDENTITY,
        Step.DEPOSIT,
        Step.ORDER,
    ]
    assert all(stage.about for stage in stages)


def test_it_asks_each_app_for_its_steps(bob: Member) -> None:
    assert done(bob) == {Step.ACTIVATION}

    fund(bob, "20000 cny")
    assert done(bob) == {Step.ACTIVATION, Step.DEPOSIT}

    orders.place(
        member=bob,
        market_id="btccny",
        terms=orders.Terms("buy", "limit", Decimal(30000), Decimal("0.1")),
        client_id=None,
        source="web",
        now=timezone.now(),
    )
    assert done(bob) == {Step.ACTIVATION, Step.DEPOSIT, Step.ORDER}

    bob.identity_level, bob.activated_at = 2, None
    assert done(bob) == {Step.IDENTITY, Step.DEPOSIT, Step.ORDER}


def test_it_points_at_the_first_step_whose_page_exists(
    bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(onboarding._PAGES, Step.FACTOR, "no such page")
    monkeypatch.setitem(onboarding._PAGES, Step.IDENTITY, "account")

    progress = onboarding.progress(bob)

    by_step = {stage.step: stage for stage in progress.stages}
    assert by_step[Step.FACTOR].url == ""
    assert progress.next == by_step[Step.IDENTITY]
    assert [stage.is_next for stage in progress.stages].count(True) == 1


def test_it_shows_the_way_until_all_is_done(
    bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Client()
    browser.force_login(bob)

    before = browser.get("/account").content.decode()
    monkeypatch.setattr(
        onboarding, "_answers", dict.fromkeys(Step, lambda member: True)
    )
    after = browser.get("/account").content.decode()

    assert "1 of 5 done" in before
    assert 'aria-current="step"' in before
    assert "First steps" not in after


def test_it_asks_nothing_where_no_page_shows_it(
    bob: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(member: Member) -> bool:
        raise AssertionError

    monkeypatch.setattr(onboarding, "_answers", dict.fromkeys(Step, refuse))
    browser = Client()
    browser.force_login(bob)

    assert browser.get("/").status_code == 200
