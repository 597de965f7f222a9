"""The first fence of uploads: nothing is read of a request that is too large."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class Bounded(FileUploadHandler):
    """Refuses a request whose files the handler after it would not take into memory."""

    def handle_raw_input(
        self, input_data: Any, meta: Any, content_length: int, *_rest: Any
    ) -> None:
        # The server holds the body to this length, so it can be believed.
        if content_length > settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig("These files are too large.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
