"""
Files that members send to our support: believed only after a look inside.

A file is what its content is, and its name must agree. Pictures go through the darkroom
and come out as JPEGs of ours: what hides in, behind or between the pixels is gone, and
so is where they were taken. PDFs stay as they are, and are only ever handed out as
a download. All are stored sealed, under names of our own, where no web server looks.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts import pictures
from accounts.models.tickets import Attachment
from exchange.lib import words
from exchange.lib.errors import Invalid
from exchange.lib.sealed import seal, unseal

BYTES_MAX = 5 * 1024 * 1024
FILES_MAX = 3
PIXELS_MAX = 40_000_000  # a large camera's picture
NAME_LENGTH_MAX = 100

_SEALED_FOR = "attachments"
_Kind = Attachment.Kind
_TAKEN = {
    ".jpg": pictures.JPEG,
    ".jpeg": pictures.JPEG,
    ".png": pictures.PNG,
    ".pdf": pictures.PDF,
}
# Names are shown and sent in headers: letters of all scripts, nothing that steers.
_ODD = re.compile(r"[^\w .()+-]")


class BadFile(Invalid):
    """The file is none of those we take, or not what it says it is."""

    code = "bad_file"
    text = _("Please send pictures (JPEG, PNG) or PDFs that open.")


class FileTooLarge(BadFile):
    """The file has too many bytes or too many pixels."""

    code = "file_too_large"
    text = _("This file is too large. At most 5 MB and 40 million pixels, please.")


class TooManyFiles(BadFile):
    """More files than one comment may carry."""

    code = "too_many_files"
    text = _("At most three files at a time, please.")


@dataclass(frozen=True, slots=True)
class Sent:
    """A file as it was sent: what the sender calls it, and what is in it."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was looked into and lies sealed on our disk."""

    name: str
    kind: Attachment.Kind
    size: int
    stored_as: str


@contextmanager
def kept(files: Sequence[Sent]) -> Iterator[list[Kept]]:
    """
    Look into files and store them, for a block that writes down what they belong to;
    when it fails they are gone again. Raises BadFile and its kind.
    """
    if len(files) > FILES_MAX:
        raise TooManyFiles
    checked = [_checked(each) for each in files]
    stored: list[Kept] = []
    try:
        for name, kind, content in checked:
            stored.append(Kept(name, kind, len(content), _store(content)))
        yield stored
    except BaseException:
        for each in stored:
            (_folder() / each.stored_as).unlink()
        raise


def content_of(attachment: Attachment) -> bytes:
    """Return the bytes of an attachment."""
    name = attachment.stored_as
    sealed = (_folder() / name).read_bytes()
    return unseal(sealed, purpose=_SEALED_FOR, bound_to=name)


def _store(content: bytes) -> str:
    stored_as = secrets.token_hex(16)
    _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    sealed = seal(content, purpose=_SEALED_FOR, bound_to=stored_as)
    with (_folder() / stored_as).open("xb") as file:
        file.write(sealed)
    return stored_as


def _checked(sent: Sent) -> tuple[str, Attachment.Kind, bytes]:
    if len(sent.content) > BYTES_MAX:
        raise FileTooLarge
    kind, name = pictures.kind_of(sent.content), _plain(sent.name)
    if kind is None or _TAKEN.get(PurePosixPath(name).suffix.lower()) != kind:
        raise BadFile
    if kind is pictures.PDF:
        if b"%%EOF" not in sent.content[-1024:]:
            raise BadFile
        return name, _Kind.PDF, sent.content
    anew = _written_anew(sent.content, name)
    return f"{PurePosixPath(name).stem}.jpg", _Kind.JPEG, anew


def _written_anew(content: bytes, name: str) -> bytes:
    try:
        (page,) = pictures.develop(
            content, filename=name, pixels_max=PIXELS_MAX, side_min=1
        )
    except pictures.TooManyPixels as error:
        raise FileTooLarge from error
    except pictures.FileRefused as error:
        raise BadFile from error
    return page


def _plain(name: str) -> str:
    """Return a name that can be shown and sent: the last part, without what steers."""
    last = words.cleaned(_ODD.sub("_", re.split(r"[/\\]", name)[-1])).strip(" .")
    path = PurePosixPath(last)
    return path.stem[: NAME_LENGTH_MAX - len(path.suffix)] + path.suffix


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "attachments"
