"""Headers of every page that Django has no setting for."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

# What a browser need not offer to us, or to who broke in. Passkeys and the clipboard
# are left as they are: for our own pages only.
_UNUSED = (
    *("accelerometer", "autoplay", "camera", "display-capture", "geolocation"),
    *("gyroscope", "magnetometer", "microphone", "midi", "payment", "usb"),
)
_POLICY = ", ".join(f"{feature}=()" for feature in _UNUSED)

Handler = Callable[[HttpRequest], HttpResponseBase]


class PermissionsPolicy:
    """Tells browsers which of their features our pages never use."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._pages(request)
        answer.headers.setdefault("Permissions-Policy", _POLICY)
        return answer
