"""
How a line of the log is written: one for one event, whatever strangers sent.

Control characters are spelled out, so that no e-mail address, path or header can begin
a line of its own or colour a terminal. Lines of a traceback are indented: only a real
line begins with a time.
"""

from __future__ import annotations

import logging
import re

from exchange.lib import origin

# C0, C1, and the two separators that some viewers break lines at.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A link that was sent by mail (accounts.links): whoever has it can use it.
_LINK = re.compile(r"(\b\d+\.[0-9a-f]{6})[0-9a-f]{26}:[\w-]+:[\w-]+")


class OneLine(logging.Formatter):
    """Writes an event as one line, with the number of the request it belongs to."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name
        record.request = origin.current().request_id or "-"
        return spelled_out(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - its name
        text = super().formatException(ei)  # type: ignore[arg-type]  # passed on
        return "\n".join(f"    {spelled_out(line)}" for line in text.split("\n"))


def spelled_out(text: str) -> str:
    r"""
    Return the text with its control characters as \x0d and the like, and without the
    secret of any link.
    """
    text = _LINK.sub(r"\1...", text)
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
