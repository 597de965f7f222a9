"""
Develops what was uploaded, in a process of its own: the only place where a file from
outside is decoded.

Not imported by the exchange but run by `accounts.pictures`, with nothing in its
environment, little memory, little time, no files to write and no way to start anything.
It reads a file from standard input and writes pages to standard output, each decoded
whole and encoded anew as JPEG: the pixels survive, and metadata, scripts, trailing
archives and whatever else there was do not.

    darkroom.py KIND PIXELS_MAX SIDE_MAX PAGES_MAX SIDE_MIN

Prints one line of JSON, {"sizes": [bytes of each page]} and then the pages, or
{"refused": why}.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
from collections.abc import Iterator
from typing import NamedTuple

MEMORY_BYTES_MAX = 1024**3
CPU_SECONDS_MAX = 20
# Enough to read the small print, and for a page of A4 to be sharp.
LONG_SIDE = 2400
QUALITY = 85


class Refusal(Exception):
    """The file is not developed; the text says why, in one word."""


def confine() -> None:
    """Give up what a decoder that was taken over would like to have."""
    os.nice(10)  # trading goes first
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(limit, (most, most))


class Limits(NamedTuple):
    """What is taken, in pixels and pages."""

    pixels_max: int
    side_max: int
    pages_max: int
    side_min: int


def develop(content: bytes, kind: str, limits: Limits) -> list[bytes]:
    """Return the pages of a file as JPEGs. Raises Refusal, or anything at all."""
    if kind == "PDF":
        return list(_pages(content, limits))
    return [_picture(content, kind, limits)]


def _picture(content: bytes, kind: str, limits: Limits) -> bytes:
    from PIL import Image, ImageOps  # noqa: PLC0415 - within the limits set above

    try:
        opened = Image.open(io.BytesIO(content), formats=[kind])
    except Image.DecompressionBombError as error:
        raise Refusal("too_many_pixels") from error
    with opened as image:
        # The header has been read, nothing is decoded yet.
        width, height = image.size
        if width * height > limits.pixels_max or max(width, height) > limits.side_max:
            raise Refusal("too_many_pixels")
        if min(width, height) < limits.side_min:
            raise Refusal("too_small")
        if getattr(image, "is_animated", False):
            raise Refusal("animated")
        image.load()
        return _encode(ImageOps.exif_transpose(image))


def _pages(content: bytes, limits: Limits) -> Iterator[bytes]:
    import pypdfium2  # noqa: PLC0415 - within the limits set above

    # Forms stay closed: there are no scripts without them.
    document = pypdfium2.PdfDocument(content)
    if not 0 < len(document) <= limits.pages_max:
        raise Refusal("too_many_pages")
    for page in document:
        width, height = page.get_size()
        scale = LONG_SIDE / max(width, height)
        if min(width, height) * scale < limits.side_min:
            raise Refusal("too_small")
        if limits.pixels_max < (LONG_SIDE + 1) ** 2:
            raise Refusal("too_many_pixels")
        yield _encode(page.render(scale=scale, may_draw_forms=False).to_pil())


def _encode(image: object) -> bytes:
    from PIL import Image  # noqa: PLC0415 - within the limits set above

    if not isinstance(image, Image.Image):
        raise TypeError
    if image.mode not in {"L", "RGB", "RGBA"}:
        image = image.convert("RGBA")  # palettes and bitmaps shrink badly
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    rgba = image.convert("RGBA")
    # A new picture carries nothing of the old one but the pixels.
    clean = Image.new("RGB", rgba.size, "white")
    clean.paste(rgba, mask=rgba.getchannel("A"))
    out = io.BytesIO()
    clean.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def main() -> None:
    confine()
    kind, *limits = sys.argv[1:]
    content, out = sys.stdin.buffer.read(), sys.stdout.buffer
    try:
        # Decoders complain where they please; nobody reads that.
        with contextlib.redirect_stderr(io.StringIO()):
            pages = develop(content, kind, Limits(*map(int, limits)))
        answer: dict[str, object] = {"sizes": [len(page) for page in pages]}
    except Refusal as refusal:
        answer, pages = {"refused": str(refusal)}, []
    out.write(json.dumps(answer).encode() + b"\n" + b"".join(pages))


if __name__ == "__main__":
    main()
