"""From a stranger to a verified member: two people, two browsers, one case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests import uploads
from tests.databases import ROOT
from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.test_factors import set_up_app
from tests.journeys.watched import look_at

pytestmark = pytest.mark.browser

_OPERATOR = "reviewer@example.com"


def scan(kind: str = "JPEG", size: tuple[int, int] = (1200, 800)) -> dict[str, object]:
    """A file as a browser hands it over."""
    return {
        "name": f"scan.{kind.lower()}",
        "mimeType": f"image/{kind.lower()}",
        "buffer": uploads.picture(kind, size),
    }


@pytest.fixture
def signed_in(opened: Callable[..., Page]) -> Callable[..., Page]:
    def sign_in(email: str, path: str, **options: object) -> Page:
        page = opened(f"/signin?next={path}", **options)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**{path}")
        return page

    return sign_in


@pytest.fixture
def operator(exchange: Exchange) -> str:
    subprocess.run(
        [
            *(sys.executable, "manage.py", "create_member", _OPERATOR),
            *("--operator", "--password", PASSWORD),
        ],
        cwd=ROOT,
        env=exchange.environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    return _OPERATOR


@pytest.mark.promise("U-79", "U-80", "S-65")
def test_it_verifies_a_member_from_a_phone(
    exchange: Exchange, signed_in: Callable[..., Page], operator: str
) -> None:
    somebody = exchange.somebody()
    phone = signed_in(somebody, "/account/identity", width=360, height=740)
    main = phone.get_by_role("main")

    look_at(phone)
    main.get_by_role("link", name="Begin").click()
    main.get_by_role("button", name="Save and go on").click()
    look_at(phone)
    phone.get_by_label("Full name").fill("Chidi Canary")
    phone.get_by_label("Date of birth").fill("1990-05-17")
    phone.get_by_label("Nationality").select_option("NG")
    phone.locator("#id_address_1").fill("1 Harbour Road")
    phone.get_by_label("City").fill("Lagos")
    phone.get_by_label("Postal code").fill("101001")
    phone.get_by_label("Country you live in").select_option("NG")
    main.get_by_role("button", name="Save and go on").click()

    phone.locator("#id_kind").select_option("passport")
    phone.get_by_label("Number of the document").fill("A01234567")
    phone.get_by_label("Valid until").fill("2040-01-31")
    front = phone.get_by_label("Picture of the front")
    front.set_input_files(scan("PNG", (320, 220)))  # type: ignore[arg-type]  # a payload
    expect(main).to_contain_text("This picture is small")
    front.set_input_files(scan())  # type: ignore[arg-type]  # the same
    expect(main).to_contain_text("Looks good.")
    look_at(phone)
    main.get_by_role("button", name="Upload and go on").click()

    phone.get_by_label("Picture or PDF").set_input_files(scan("WEBP"))  # type: ignore[arg-type]  # the same
    main.get_by_role("button", name="Upload and go on").click()
    main.get_by_role("button", name="Send for checking").click()
    expect(main).to_contain_text("We are checking your documents")
    look_at(phone)

    desk = signed_in(operator, "/account/security")
    set_up_app(desk)
    desk.goto(f"/admin/accounts/identitycase/?q={somebody}")
    desk.locator("#result_list tbody th a").first.click()
    expect(desk.locator("body")).not_to_contain_text("Chidi Canary")
    desk.get_by_label("Reason").fill("first of the queue")
    desk.get_by_role("button", name="Open for 15 minutes").click()
    expect(desk.locator("body")).to_contain_text("Chidi Canary")
    picture = desk.get_by_role("img", name="Passport, page 1")
    expect(picture).to_be_visible()
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 1200)
    for verdict in desk.locator("select[name$=verdict]").all():
        verdict.select_option("accept")
    desk.get_by_role("button", name="Decide").click()
    expect(desk.locator(".messagelist")).to_contain_text("verified")

    phone.reload()
    expect(main).to_contain_text("Your identity is verified")
    expect(phone.locator("tr[aria-current]")).to_contain_text("3 · ")
