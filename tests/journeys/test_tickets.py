"""A member asks our support, on a desk and on a phone."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.journeys.conftest import PASSWORD, Exchange
from tests.journeys.watched import SIZES, look_at

pytestmark = pytest.mark.browser


def receipt() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.mark.promise("U-82")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_member_asks_and_comes_back(
    exchange: Exchange, opened: Callable[..., Page], size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    page = opened(
        "/signin?next=/account/tickets", width=width, height=height, color_scheme=scheme
    )
    page.get_by_label("E-mail address").fill(exchange.somebody())
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("You have no open tickets")).to_be_visible()
    look_at(page)

    page.get_by_role("link", name="Ask our support").click()
    page.get_by_label("Subject").fill("Where is my deposit?")
    page.get_by_label("Message").fill("I sent it yesterday.")
    files = page.get_by_label("Files")
    for count, length, refusal in (
        (4, 100, "At most three files at a time"),
        (1, 5_500_000, "A file may have up to 5 MB."),
    ):
        content = b"a" * length
        file = FilePayload(name="a.png", mimeType="image/png", buffer=content)
        files.set_input_files([file] * count)
        expect(page.get_by_text(refusal)).to_be_visible()
        page.get_by_role("button", name="Send").click()
        expect(files).to_be_focused()  # nothing was sent
    look_at(page)
    files.set_input_files(
        {"name": "bad.png", "mimeType": "image/png", "buffer": b"<html>"}
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Please send pictures")).to_be_visible()
    look_at(page)

    files.set_input_files(
        {"name": "receipt.png", "mimeType": "image/png", "buffer": receipt()}
    )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="Where is my deposit?")).to_be_visible()
    look_at(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="receipt.jpg").click()
    assert download.value.suggested_filename == "receipt.jpg"

    page.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Closed").click()
    page.get_by_role("link", name="Where is my deposit?").click()
    page.get_by_label("Message").fill("One thing more.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("One thing more.")).to_be_visible()
    expect(page.get_by_text("waits for our answer")).to_be_visible()
    look_at(page)
