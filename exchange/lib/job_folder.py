"""
The jobs' broker of embedded mode: kombu's filesystem transport, with whole files.

kombu writes a message into the file that readers already see, so that a reader may take
it half written and die of it. Here a message gets its name when it is complete.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem

SCHEME = "jobfolder"


class Channel(filesystem.Channel):
    """A channel whose messages appear whole or not at all."""

    def _put(  # type: ignore[override]  # as its own parent has it
        self, queue: str, payload: Any, **kwargs: Any
    ) -> None:
        # The name starts with the time, because readers take the first in order.
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        file = Path(self.data_folder_out, name)
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(payload))
        draft.rename(file)


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
