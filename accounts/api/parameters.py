"""
Parameters of a REST v2 request: collected from everywhere, signed, and read strictly.

Old clients send a GET with a form body, or a POST with everything in the query; so the
query, a form and a JSON body are one set of parameters for any verb. Where a name comes
twice the later one counts: query, then body, then the path. Nothing is converted before
a reader asks for it, and a number in JSON keeps the digits it was written with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote_plus, unquote

from django.conf import settings
from django.core.exceptions import (
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from exchange.lib.errors import ExchangeError, Invalid

# What a parameter may be. `orders[]` is the deepest we know: objects of texts.
Value = str | None | list["Value"] | dict[str, "Value"]
_DEPTH_MAX = 4

# orders[][side]: a name, then keys in brackets, an empty one for the next of a list.
_BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")

# Never part of what is signed. `route_info` is a relic that old clients filter, too.
_UNSIGNED = frozenset({"signature", "format", "route_info"})
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)

# Percent-encoded: an `&` or `=` in a name, or an `&` in a value with an `=` after it.
_AMBIGUOUS = re.compile(r"(?:^|&)[^&=]*%(?:26|3D)[^&=]*=|%26[^&]*%3D")

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # stands for itself: nearly all of them

NOT_VALID = "does not have a valid value"


class ParametersInvalid(Invalid):
    """Some parameters are missing or malformed; the message names each."""

    code = "parameters_invalid"


class BodyTooLarge(ExchangeError):
    """The body is larger than any request of ours can be."""

    code = "body_too_large"
    text = "The request body is too large."


class BodyOfUnknownType(ExchangeError):
    """The body is neither a form nor JSON."""

    code = "body_of_unknown_type"
    text = "The body must be a form or JSON."


class Parameters:
    """
    A request's parameters, read one by one.

    A reader that finds nothing fitting notes why and returns something harmless;
    `demand_valid` then raises ParametersInvalid with all notes, in order of reading.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        *,
        within: str = "",
        problems: list[str] | None = None,
    ) -> None:
        self.values = values
        self.problems: list[str] = [] if problems is None else problems
        self._within = within

    def has(self, *names: str) -> bool:
        return all(self.values.get(name) is not None for name in names)

    def text(self, name: str) -> str | None:
        """Read an optional text."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        self.note(name, "is invalid")
        return None

    def required(self, name: str) -> str:
        """Read a text that must be there."""
        if self.values.get(name) is None:
            self.note(name, "is missing")
            return ""
        return self.text(name) or ""

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Read one of a few words."""
        text = self.text(name)
        return default if text is None else self._one_of(name, allowed, text)

    def required_choice(self, name: str, allowed: Sequence[str]) -> str:
        """
        Read one of a few words that must be there. What is missing is no valid value
        either, as the ancestor said for all but the parts of a list.
        """
        noted = len(self.problems)
        text = self.required(name)
        if self.problems[noted:] and self._within:
            return text
        return self._one_of(name, allowed, text)

    def optional_choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """Read one of a few words, or nothing."""
        text = self.text(name)
        return None if text is None else self._one_of(name, allowed, text)

    def integer(self, name: str) -> int | None:
        """Read an optional whole number of at most 18 digits."""
        text = self.text(name)
        if text is None:
            return None
        if not _INTEGER.fullmatch(text):
            self.note(name, "is invalid")
            return None
        return int(text)

    def required_integer(self, name: str) -> int:
        """Read a whole number that must be there."""
        if self.values.get(name) is None:
            self.note(name, "is missing")
        return self.integer(name) or 0

    def integer_within(self, name: str, low: int, high: int, *, default: int) -> int:
        """Read a whole number between `low` and `high`, both included."""
        number = self.integer(name)
        if number is None:
            return default
        if not low <= number <= high:
            self.note(name, f"must be in range: {low}..{high}")
        return number

    def integer_of(self, name: str, allowed: Container[int], *, default: int) -> int:
        """Read one of a few whole numbers."""
        number = self.integer(name)
        if number is None:
            return default
        if number not in allowed:
            self.note(name, NOT_VALID)
        return number

    def elements(self, name: str, *, most: int) -> list[Parameters]:
        """
        Read a list of 1 to `most` objects. What their readers note is noted here, too,
        as `orders[side] is missing`.
        """
        found = self.values.get(name)
        if found is None:
            self.note(name, "is missing")
            return []
        objects = found if isinstance(found, list) else [found]
        inner = [
            Parameters(item, within=name, problems=self.problems)
            for item in objects
            if isinstance(item, dict)
        ]
        if not isinstance(found, list) or len(inner) < len(found):
            self.note(name, "is invalid")
        elif not 1 <= len(found) <= most:
            self.note(name, f"must have 1..{most} elements")
        else:
            return inner
        return []

    def note(self, name: str, problem: str) -> None:
        """Note a problem: `note("limit", "is invalid")`."""
        name = f"{self._within}[{name}]" if self._within else name
        said = f"{name} {problem}"
        if said not in self.problems:  # of fifty elements, say
            self.problems.append(said)

    def refuse(self, name: str) -> NoReturn:
        """Say that a value of the right form is none we have."""
        raise ParametersInvalid(f"{name} {NOT_VALID}")

    def demand_valid(self) -> None:
        """Raise ParametersInvalid if any reader found something to say."""
        if self.problems:
            raise ParametersInvalid(", ".join(self.problems))

    def canonical_query(self) -> str:
        """
        Write the parameters the way they are signed.

        As the ancestor did: pairs `name=value` percent-encoded and sorted as such,
        lists in their order, and the whole then decoded again, so that brackets and
        other scripts stand raw and a blank is a plus.

        Raises ParametersInvalid for a name or value that, decoded, could not be told
        from two parameters: so a request could be turned into another of the same
        signature.
        """
        pairs = [
            "&".join(_pairs(name, value))
            for name, value in self.values.items()
            if name not in _UNSIGNED
        ]
        query = "&".join(sorted(filter(None, pairs)))
        if _AMBIGUOUS.search(query):
            raise ParametersInvalid("A parameter is invalid: it reads like two.")
        return unquote(query)

    def _one_of(self, name: str, allowed: Sequence[str], text: str) -> str:
        if text not in allowed:
            self.note(name, NOT_VALID)
        return text


def collect(request: HttpRequest, path: Mapping[str, str]) -> Parameters:
    """
    Unite query, body and path parameters.

    Raises ParametersInvalid for what cannot be read at all (broken JSON, a byte NUL,
    text that is not Unicode), BodyTooLarge, or BodyOfUnknownType.
    """
    try:
        # Not request.GET, which would decode it as the body's Content-Type claims.
        query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
        values = _from_form(query)
        values.update(_body(request))
    except RequestDataTooBig as error:
        raise BodyTooLarge from error
    except (TooManyFieldsSent, TooManyFilesSent) as error:
        raise ParametersInvalid("There are too many parameters.") from error
    except UnreadablePostError as error:
        raise ParametersInvalid("The request body broke off.") from error
    values.update(path)
    _demand_storable(values)
    return Parameters(values)


def _body(request: HttpRequest) -> Mapping[str, Value]:
    body = request.body
    if len(body) < int(request.META.get("CONTENT_LENGTH") or 0):
        raise UnreadablePostError
    if not body:
        return {}
    match request.content_type:
        # Without a type a body is a form: what the ancestor's web server assumed.
        case "application/x-www-form-urlencoded" | "":
            return _from_form(body)
        case "application/json":
            return _from_json(body)
        case "multipart/form-data":
            return _from_multipart(request, body)
    raise BodyOfUnknownType


def _from_form(raw: bytes) -> dict[str, Value]:
    if raw.count(b"&") >= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
        raise TooManyFieldsSent
    return _nested(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """
    Put `a[]=1` and `orders[][side]=buy` into lists and objects, as the ancestor's web
    server did: a list's next object begins where a key of the present one comes again.
    A name with other brackets than these is a name.
    """
    values: dict[str, Value] = {}
    for name, value in pairs:
        found = _BRACKETS.fullmatch(name) if "[" in name else None
        if found is None:
            values[name] = value
            continue
        keys = _BRACKET.findall(found[2])
        if len(keys) > _DEPTH_MAX:
            raise ParametersInvalid(f"{found[1]} is invalid")
        values[found[1]] = _put(values.get(found[1]), keys, value, found[1])
    return values


def _put(into: Value, keys: Sequence[str], value: str, name: str) -> Value:
    """Return `into` with the value at the place that the keys say."""
    if not keys:
        return value
    key, inner = keys[0], keys[1:]
    if key:
        target: Value = {} if into is None else into
        if not isinstance(target, dict):
            raise ParametersInvalid(f"{name} is invalid")
        target[key] = _put(target.get(key), inner, value, name)
        return target
    elements: Value = [] if into is None else into
    if not isinstance(elements, list):
        raise ParametersInvalid(f"{name} is invalid")
    last = elements[-1] if elements else None
    if inner and isinstance(last, dict) and not _has(last, inner):
        elements[-1] = _put(last, inner, value, name)
    else:
        elements.append(_put(None, inner, value, name))
    return elements


def _has(element: dict[str, Value], keys: Sequence[str]) -> bool:
    """Say whether the place that the keys say is taken; a list takes ever more."""
    key, inner = keys[0], keys[1:]
    if key not in element:
        return False
    found = element[key]
    return not inner or (isinstance(found, dict) and _has(found, inner))


def _from_json(body: bytes) -> Mapping[str, Value]:
    try:
        found = json.loads(
            body, parse_float=str, parse_int=str, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise ParametersInvalid("The request body is not JSON.") from error
    if not isinstance(found, dict):
        raise ParametersInvalid("The request body must be a JSON object.")
    return {name: _plain(value, _DEPTH_MAX) for name, value in found.items()}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def _plain(value: Any, depth: int) -> Value:
    """Turn what JSON gave into texts; refuse to go deeper than anybody needs."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if depth == 0:
        raise ParametersInvalid("The request body is nested too deeply.")
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    return {name: _plain(item, depth - 1) for name, item in value.items()}


def _from_multipart(request: HttpRequest, body: bytes) -> Mapping[str, Value]:
    try:
        handlers = request.upload_handlers
        parser = MultiPartParser(request.META, BytesIO(body), handlers)
        fields, _files = parser.parse()
    except MultiPartParserError as error:
        raise ParametersInvalid("The request body is not a form.") from error
    # Its parts come without their order, which is what tells one object from the next.
    if any("[" in name for name in fields):
        raise ParametersInvalid("Send lists as JSON or as a form that is URL-encoded.")
    return {name: str(value) for name, value in fields.items()}


def _demand_storable(values: Mapping[str, Value]) -> None:
    """PostgreSQL stores no NUL, and half a surrogate pair is no text at all."""
    for text in _texts(dict(values)):
        if "\0" in text or not _is_unicode(text):
            raise ParametersInvalid("A parameter is invalid: it is not plain text.")


def _texts(value: Value) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for name, item in value.items():
                yield name
                yield from _texts(item)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pairs(name: str, value: Value) -> list[str]:
    match value:
        case dict():
            return sorted(
                "&".join(_pairs(f"{name}[{key}]", item)) for key, item in value.items()
            )
        case list():
            return [pair for item in value for pair in _pairs(f"{name}[]", item)]
    return [f"{_quoted(name)}={_quoted(value or '')}"]


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote_plus(text)
