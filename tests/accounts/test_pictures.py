"""Files from outside: which are taken, and what is left of them."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from accounts import pictures
from tests import uploads

File = Callable[[], bytes]


def develop(content: bytes, filename: str = "passport.jpg") -> list[bytes]:
    return pictures.develop(content, filename=filename)


def opened(page: bytes) -> Image.Image:
    with Image.open(io.BytesIO(page)) as image:
        image.load()
    return image


@pytest.mark.promise("S-61")
@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.jpg", uploads.picture("JPEG")),
        ("a.JPEG", uploads.picture("JPEG", progressive=True)),
        ("a.png", uploads.picture("PNG")),
        ("a.webp", uploads.picture("WEBP")),
        ("a.pdf", uploads.pdf()),
    ],
    ids=["jpeg", "progressive", "png", "webp", "pdf"],
)
def test_it_makes_a_jpeg_of_what_it_takes(filename: str, content: bytes) -> None:
    (page,) = develop(content, filename)

    image = opened(page)
    assert image.format == "JPEG"
    assert image.mode == "RGB"
    assert min(image.size) >= 400


@pytest.mark.promise("S-61")
@pytest.mark.parametrize(
    ("filename", "file", "refusal"),
    [
        ("a.jpg", lambda: b"", pictures.EmptyFile),
        ("a.jpg", lambda: b"\xff\xd8\xff" + b"0" * 8_388_606, pictures.FileTooLarge),
        ("a.jpg", lambda: uploads.HTML, pictures.UnknownKind),
        ("a.html", lambda: uploads.HTML, pictures.UnknownKind),
        ("a.svg", lambda: uploads.SVG, pictures.UnknownKind),
        ("a.jpg", lambda: uploads.SVG, pictures.UnknownKind),
        ("a.gif", uploads.gif_script, pictures.UnknownKind),
        ("a.jpg", uploads.gif_script, pictures.UnknownKind),
        ("a.js", uploads.gif_script, pictures.UnknownKind),
        ("a.jpg", uploads.zip_bomb, pictures.UnknownKind),
        ("a.jpg", lambda: b"MZ\x90\0", pictures.UnknownKind),
        ("a.jpg", lambda: b"junk" + uploads.picture(), pictures.UnknownKind),
        ("a.pdf", lambda: b"junk" + uploads.pdf(), pictures.UnknownKind),
        ("a.png", uploads.picture, pictures.WrongName),
        ("a.jpg", uploads.pdf, pictures.WrongName),
        ("a.pdf", uploads.picture, pictures.WrongName),
        ("a", uploads.picture, pictures.WrongName),
        ("a.jpg.exe", uploads.picture, pictures.WrongName),
        ("a.jpg\0.png", lambda: uploads.picture("WEBP"), pictures.WrongName),
        ("a.png", uploads.huge_png, pictures.TooManyPixels),
        ("a.png", lambda: uploads.huge_png(9_000), pictures.TooManyPixels),
        (
            "a.png",
            lambda: uploads.picture("PNG", (12_001, 200)),
            pictures.TooManyPixels,
        ),
        ("a.png", lambda: uploads.picture("PNG", (640, 199)), pictures.TooSmall),
        ("a.png", lambda: uploads.png(300, 300, b""), pictures.Damaged),
        ("a.png", uploads.png_text_bomb, pictures.Damaged),
        ("a.jpg", lambda: uploads.picture()[:-600], pictures.Damaged),
        ("a.jpg", lambda: b"\xff\xd8\xff\xe0" + b"\0" * 400, pictures.Damaged),
        ("a.webp", lambda: uploads.picture("WEBP")[:300], pictures.Damaged),
        ("a.pdf", lambda: b"%PDF-1.7\n", pictures.Damaged),
        ("a.pdf", lambda: uploads.pdf(7), pictures.TooManyPages),
        ("a.pdf", lambda: uploads.pdf(size=(10, 8000)), pictures.TooSmall),
    ],
)
def test_it_refuses_what_is_no_document(
    filename: str, file: File, refusal: type[pictures.FileRefused]
) -> None:
    with pytest.raises(pictures.FileRefused) as refused:
        develop(file(), filename)

    assert type(refused.value) is refusal
    assert refused.value.message


@pytest.mark.promise("S-61")
def test_it_refuses_what_moves() -> None:
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])

    with pytest.raises(pictures.Animated):
        develop(out.getvalue(), "a.webp")


@pytest.mark.promise("S-62")
def test_it_keeps_the_pixels_and_nothing_else() -> None:
    original = uploads.with_metadata()
    assert uploads.GPS_NOTE.encode() in original

    (page,) = develop(original)

    image = opened(page)
    assert not image.getexif()
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert uploads.GPS_NOTE.encode() not in page
    # The camera was held upright: the pixels are turned, now that no note says so.
    assert image.size == (400, 640)


@pytest.mark.promise("S-61", "S-62")
@pytest.mark.parametrize(
    ("filename", "file", "traces"),
    [
        ("a.jpg", uploads.jpeg_with_archive, [b"PK\x03\x04", b"run.exe"]),
        ("a.jpg", lambda: uploads.picture() + b"<?php evil(); ?>", [b"php"]),
        (
            "a.jpg",
            lambda: uploads.picture(comment=b"*/alert(1)//"),
            [b"alert"],
        ),
        ("a.pdf", uploads.pdf_with_script, [b"JavaScript", b"alert", b"%PDF"]),
    ],
    ids=["archive", "php", "comment", "script"],
)
def test_it_leaves_behind_what_came_along(
    filename: str, file: File, traces: list[bytes]
) -> None:
    original = file()
    assert any(trace in original for trace in traces)

    (page,) = develop(original, filename)

    assert opened(page).format == "JPEG"
    assert not [trace for trace in traces if trace in page]


def test_it_shows_what_is_transparent_on_white() -> None:
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")

    (page,) = develop(out.getvalue(), "a.png")

    assert opened(page).getpixel((150, 150)) == (255, 255, 255)


def test_it_makes_a_page_of_each_page() -> None:
    pages = develop(uploads.pdf(3), "bill.pdf")

    assert [max(opened(page).size) for page in pages] == [2400] * 3


def test_it_makes_large_pictures_smaller() -> None:
    (page,) = develop(uploads.picture(size=(6000, 4000)))

    assert opened(page).size == (2400, 1600)


@pytest.mark.promise("S-61", "S-77")
def test_it_stops_a_bomb_at_the_limits_of_the_darkroom() -> None:
    bomb = uploads.pdf_bomb(2000)
    assert len(bomb) < pictures.BYTES_MAX

    with pytest.raises(pictures.Damaged):
        develop(bomb, "a.pdf")


def test_it_keeps_our_keys_from_the_darkroom(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def run(*_: Any, **options: Any) -> None:
        seen.append(options)
        raise subprocess.TimeoutExpired("darkroom", 1)

    monkeypatch.setattr(subprocess, "run", run)

    with pytest.raises(pictures.Damaged):
        develop(uploads.picture())

    assert seen[0]["env"] == {}
    assert seen[0]["timeout"] == pictures.SECONDS_MAX


def _answer(sizes: list[int], rest: bytes) -> bytes:
    return json.dumps({"sizes": sizes}).encode() + b"\n" + rest


@pytest.mark.promise("S-77")
@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b"no json\n",
        b'{"refused": "nonsense"}\n',
        _answer([], b""),
        _answer([9], b"\xff\xd8\xff"),
        _answer([3], b"\xff\xd8\xff and more"),
        _answer([4], b"<svg"),
    ],
)
def test_it_refuses_whatever_comes_out_broken(
    monkeypatch: pytest.MonkeyPatch, output: bytes
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=output)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

    with pytest.raises(pictures.Damaged):
        develop(uploads.picture())


def test_it_lets_only_a_few_be_developed_at_once() -> None:
    with pictures._AT_ONCE, pictures._AT_ONCE, pytest.raises(pictures.DarkroomBusy):
        develop(uploads.picture())

    assert develop(uploads.picture())


@pytest.mark.promise("S-65")
def test_it_draws_a_mark_all_over() -> None:
    (page,) = develop(uploads.picture())

    marked = pictures.watermark(page, "PEAOLIVEXXXTIO · 2026-11-24")

    before, after = opened(page), opened(marked)
    assert after.size == before.size
    for corner in ((0, 0, 320, 200), (320, 0, 640, 200), (0, 200, 640, 400)):
        plain = before.crop(corner).tobytes()
        changed = after.crop(corner).tobytes()
        far = sum(abs(a - b) > 40 for a, b in zip(plain, changed, strict=True))
        assert far > 200, corner
