"""
Pictures from outside: which files are taken, and made into pictures of our own.

A file counts by its content, never by what it is called; what it is called must agree.
Decoding happens in the darkroom, a process with limits. Whatever goes wrong there, the
file is refused.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from threading import BoundedSemaphore

from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageDraw, ImageFont

from exchange.lib.errors import Busy, Refused

BYTES_MAX = 8 * 1024 * 1024
# A phone's 48 megapixels; 30,000 × 30,000 would be 900.
PIXELS_MAX = 50_000_000
SIDE_MAX = 12_000
# Less than this nobody can read.
SIDE_MIN = 200
PAGES_MAX = 6
# More than the darkroom's seconds on the processor: it may have to wait for one.
SECONDS_MAX = 40
# Two cores are two. Nobody waits for a turn: who waits holds a thread of the web.
_AT_ONCE = BoundedSemaphore(2)
_DARKROOM = Path(__file__).with_name("darkroom.py")
_PDF_START = b"%PDF-"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file we take: what decoders call it, and what files are called."""

    name: str
    extensions: frozenset[str]


JPEG = Kind("JPEG", frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}))
PNG = Kind("PNG", frozenset({".png"}))
WEBP = Kind("WEBP", frozenset({".webp"}))
PDF = Kind("PDF", frozenset({".pdf"}))
KINDS = (JPEG, PNG, WEBP, PDF)


class FileRefused(Refused):
    """A file is not taken. The kinds below say why."""

    code = "file_refused"


class EmptyFile(FileRefused):
    """There is nothing in it."""

    code = "file_empty"
    text = _("This file is empty. Please choose another.")


class FileTooLarge(FileRefused):
    """It has too many bytes."""

    code = "file_too_large"
    text = _("This file is larger than 8 MB. Please send a smaller picture.")


class UnknownKind(FileRefused):
    """It is none of the kinds we take, whatever it is called."""

    code = "file_of_unknown_kind"
    text = _("Please send a JPEG, PNG or WebP picture, or a PDF.")


class WrongName(FileRefused):
    """Its name says it is of another kind than it is."""

    code = "file_name_misleads"
    text = _("The name of this file does not fit what is in it. Please save it again.")


class TooManyPixels(FileRefused):
    """It is too wide, too high, or both."""

    code = "picture_too_large"
    text = _("This picture has too many pixels. Please send a smaller one.")


class TooSmall(FileRefused):
    """Nobody could read it."""

    code = "picture_too_small"
    text = _("This picture is too small to be read. Please send a larger one.")


class Animated(FileRefused):
    """It moves."""

    code = "picture_moves"
    text = _("This picture is animated. Please send one that is not.")


class TooManyPages(FileRefused):
    """It has none, or too many."""

    code = "too_many_pages"
    text = _("Please send a PDF of one to six pages.")


class Damaged(FileRefused):
    """It cannot be decoded from start to end."""

    code = "file_damaged"
    text = _(
        "This file cannot be read; it may be damaged or locked. Please try another."
    )


class DarkroomBusy(Busy):
    """Others are before you."""

    code = "darkroom_busy"
    text = _("Many pictures are being sent. Please try again in a minute.")


_REFUSALS: dict[str, type[FileRefused]] = {
    "too_many_pixels": TooManyPixels,
    "too_small": TooSmall,
    "animated": Animated,
    "too_many_pages": TooManyPages,
}


def develop(
    content: bytes,
    *,
    filename: str,
    pixels_max: int = PIXELS_MAX,
    side_min: int = SIDE_MIN,
) -> list[bytes]:
    """
    Return the pages of a file from outside, as JPEGs we made, without anything else
    that was in it.

    Raises a kind of FileRefused, or DarkroomBusy.
    """
    if not content:
        raise EmptyFile
    if len(content) > BYTES_MAX:
        raise FileTooLarge
    kind = kind_of(content)
    if kind is None:
        raise UnknownKind
    if PurePath(filename).suffix.lower() not in kind.extensions:
        raise WrongName
    if not _AT_ONCE.acquire(blocking=False):
        raise DarkroomBusy
    try:
        return _develop(content, kind, (pixels_max, SIDE_MAX, PAGES_MAX, side_min))
    finally:
        _AT_ONCE.release()


def watermark(page: bytes, mark: str) -> bytes:
    """
    Return a page with a mark drawn all over it. Only for pages we made ourselves: they
    are decoded right here.
    """
    with Image.open(io.BytesIO(page), formats=["JPEG"]) as image:
        ground = image.convert("RGBA")
    width, height = ground.size
    font = ImageFont.load_default(size=max(14, min(width, height) // 28))
    sheet = Image.new("RGBA", ground.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    across, down = int(pen.textlength(mark, font=font)) + 60, max(60, height // 8)
    for row, top in enumerate(range(down // 3, height, down)):
        for left in range(-(row % 2) * across // 2, width, across):
            pen.text(
                (left, top),
                mark,
                font=font,
                fill=(200, 0, 0, 110),
                stroke_width=1,
                stroke_fill=(255, 255, 255, 80),
            )
    out = io.BytesIO()
    Image.alpha_composite(ground, sheet).convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


def kind_of(content: bytes) -> Kind | None:
    """Tell the kind of a file by how it begins; None where we do not take it."""
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return WEBP
    if content.startswith(_PDF_START):
        return PDF
    return None


def _develop(content: bytes, kind: Kind, limits: tuple[int, ...]) -> list[bytes]:
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(_DARKROOM), kind.name, *map(str, limits)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},  # our keys are none of its business
            timeout=SECONDS_MAX,
            check=True,
        )
        return _pages_of(done.stdout)
    except (subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        # From a broken file to a bomb that hit a limit: nothing came out whole.
        raise Damaged from error


def _pages_of(output: bytes) -> list[bytes]:
    line, _, rest = output.partition(b"\n")
    answer = json.loads(line)
    if "refused" in answer:
        raise _REFUSALS[answer["refused"]]
    pages = []
    for size in answer["sizes"]:
        page, rest = rest[:size], rest[size:]
        if len(page) != size or kind_of(page) is not JPEG:
            raise ValueError
        pages.append(page)
    if not pages or rest:
        raise ValueError
    return pages
