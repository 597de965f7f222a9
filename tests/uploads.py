"""
What people upload, and what attackers do: made here, byte by byte, never committed.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pypdfium2
from PIL import Image, ImageDraw

GPS_NOTE = "secret-camera-owner"
_PNG_START = b"\x89PNG\r\n\x1a\n"


def picture(
    kind: str = "JPEG", size: tuple[int, int] = (640, 400), **options: object
) -> bytes:
    """A picture with something in it, of one kind."""
    image = Image.new("RGB", size, "#2a5d8f")
    pen = ImageDraw.Draw(image)
    pen.rectangle((20, 20, size[0] // 2, size[1] // 2), fill="#e3b341")
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_metadata() -> bytes:
    """A picture as a phone makes it: turned, with a place and a name in it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x013B] = GPS_NOTE
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return picture(exif=exif.tobytes(), comment=GPS_NOTE.encode())


def pdf(pages: int = 1, size: tuple[int, int] = (595, 842)) -> bytes:
    """A PDF of blank pages."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(*size)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def pdf_with_script() -> bytes:
    """A PDF that runs a script when it is opened."""
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript"
        b" /JS (app.alert\\('pwned'\\)) >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] >>",
    )


def pdf_bomb(megabytes: int) -> bytes:
    """A PDF of a few kilobytes whose page unpacks to that many megabytes."""
    # One megabyte is packed once and repeated; the sum at the end is nobody's concern.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b"q Q " * 262_144) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = b"\x78\x9c" + block * megabytes + packer.flush()
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >> stream\n%s\nendstream"
        % (len(packed), packed),
    )


def huge_png(side: int = 30_000) -> bytes:
    """A PNG of a few hundred kilobytes that says, truly, that it is enormous."""
    row = zlib.compress(b"\0" * (side // 8 + 2) * 64, 9)
    return png(side, side, row, depth=1, colour=0)


def png(
    width: int,
    height: int,
    data: bytes,
    *,
    depth: int = 8,
    colour: int = 2,
    more: bytes = b"",
) -> bytes:
    """A PNG put together by hand."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        _PNG_START
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)


def png_text_bomb() -> bytes:
    """A good PNG beside whose pixels stands a text that unpacks to a hundred MB."""
    packed = zlib.compress(b"A" * 100_000_000, 9)
    text = chunk(b"zTXt", b"Comment\0\0" + packed)
    good = picture("PNG")
    at = len(_PNG_START) + 25  # behind the header
    return good[:at] + text + good[at:]


def gif_script() -> bytes:
    """Both a GIF and a script."""
    return b"GIF89a/*" + picture("GIF")[8:] + b"*/=1;alert(document.cookie)//"


def jpeg_with_archive() -> bytes:
    """Both a JPEG and an archive with a program in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("run.exe", b"MZ" + b"\0" * 64)
    return picture() + out.getvalue()


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    return out.getvalue()


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


def _pdf(*objects: bytes) -> bytes:
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    trailer = b"trailer << /Root 1 0 R /Size %d >>\nstartxref\n%d\n%%%%EOF\n"
    return out + end + trailer % (len(objects) + 1, len(out))
