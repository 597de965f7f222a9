"""
The words of the exchange: which there are in the sources, and what they are called in
the other languages.

Babel does what GNU gettext would, so that nothing has to be installed. A catalog keeps
neither line numbers nor dates: it changes when a word does. What is compiled from it
(`make setup`) is not committed.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

from exchange.lib import names

# What a call's arguments are, as Babel counts them: ((1, "c"), 2) is context and text.
_CALLS: dict[str, Any] = {
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_CALLS |= {f"{name}_lazy": spec for name, spec in _CALLS.items()}
_CALLS["gettext_noop"] = None
_TEMPLATES = {".html", ".txt"}
# What a translation must hold just as the original does: names to be filled in, and
# the tags of HTML.
_FIXED = re.compile(r"%%|%\(\w+\)\w|%[sd]|\{\w*\}|</?\w[^>]*>")


def languages() -> list[str]:
    """Return the languages that are not the one the sources are written in."""
    return [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


def path_of(language: str) -> Path:
    """Return where a language's catalog is kept."""
    folder = Path(settings.LOCALE_PATHS[0]) / to_locale(language)
    return folder / "LC_MESSAGES" / "django.po"


def collect() -> Catalog:
    """Return every message of the sources, untranslated."""
    catalog = Catalog(domain="django")
    for path in _sources():
        found = in_template if path.suffix in _TEMPLATES else in_python
        for message, context, comments in found(path.read_text()):
            catalog.add(message, context=context, auto_comments=comments)
    for name in names.known():
        catalog.add(name, context=names.CONTEXT)
    return catalog


def update(language: str) -> None:
    """Write a language's catalog anew: old translations kept, dead messages dropped."""
    path = path_of(language)
    catalog = _read(language)
    catalog.update(collect(), no_fuzzy_matching=True)
    body = BytesIO()
    write_po(
        body,
        catalog,
        width=0,
        no_location=True,
        omit_header=True,
        sort_output=True,
        ignore_obsolete=True,
    )
    # The head, with the glossary, is written by people.
    head = path.read_text().partition("\n\n")[0]
    path.write_text(f"{head}\n\n{body.getvalue().decode().strip()}\n")


def problems(language: str) -> list[str]:
    """Return what is wrong with a catalog: nothing, when it is complete."""
    wanted, catalog = collect(), _read(language)
    found = [
        f"not in the catalog: {message.id!r}"
        for message in wanted
        if message.id and catalog.get(_key(message), message.context) is None
    ]
    for message in catalog:
        if message.id:
            is_used = wanted.get(_key(message), message.context) is not None
            trouble = _trouble(message) if is_used else "no longer used"
            found += [f"{trouble}: {message.id!r}"] if trouble else []
    return found + [f"obsolete: {id!r}" for id in catalog.obsolete]


# --- Reading sources ---------------------------------------------------------------

_Found = Iterator[tuple[str | tuple[str, ...], str | None, list[str]]]


def in_python(source: str) -> _Found:
    """Yield (message, context, comments), whatever gettext is called in there."""
    keywords = dict(_CALLS)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (
            node.module == "django.utils.translation"
        ):
            for name in node.names:
                if name.asname and name.name in _CALLS:
                    keywords[name.asname] = _CALLS[name.name]
    return _extract(source, keywords)


def in_template(source: str) -> _Found:
    """Yield (message, context, comments) of a template's tags."""
    # What Django makes of it for xgettext. Its indentation means nothing, and Python's
    # own reader would take offence.
    code = re.sub(r"^[ \t]+", "", templatize(source), flags=re.MULTILINE)
    return _extract(code, {**_CALLS, "_": None})


def _extract(code: str, keywords: dict[str, Any]) -> _Found:
    for _line, message, comments, context in extract(
        "python", BytesIO(code.encode()), keywords, comment_tags=["Translators:"]
    ):
        yield message, context, comments


def _sources() -> Iterator[Path]:
    root = Path(settings.BASE_DIR)
    for app in ("accounts", "exchange", "markets", "wallets"):
        for path in sorted((root / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path
    for path in sorted((root / "templates").rglob("*")):
        if path.suffix in _TEMPLATES:
            yield path


# --- Reading catalogs --------------------------------------------------------------


def _read(language: str) -> Catalog:
    with path_of(language).open("rb") as file:
        return read_po(file, locale=to_locale(language))


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _trouble(message: Message) -> str:
    originals = [message.id] if isinstance(message.id, str) else list(message.id)
    words = [message.string] if isinstance(message.string, str) else message.string
    if message.fuzzy:
        return "fuzzy"
    if not words or not all(words):
        return "not translated"
    allowed = [_fixed(text) for text in originals]
    # The form for many says how many; the one for one may leave it out.
    if _fixed(words[-1]) != allowed[-1] or any(_fixed(w) not in allowed for w in words):
        return "other names or tags than the original"
    return ""


def _fixed(text: str) -> Counter[str]:
    return Counter(_FIXED.findall(text))
