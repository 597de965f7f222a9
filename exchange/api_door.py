"""
The way of a REST request past everything that only pages need.

Sessions, languages, forms and content policies are for browsers; a signed request needs
none of them, and they took more time than its work. Who comes to the API leaves the
chain of middleware here.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import get_resolver
from django.utils import translation

PREFIX = "/api/v2"
# The one page that lives among them: it is for people, who have sessions.
DOCUMENTS = "/api/v2/docs"
_URLS = "markets.api.urls"

Handler = Callable[[HttpRequest], HttpResponseBase]


class ApiDoor:
    """Middleware: answers what is under PREFIX, and passes on the rest."""

    def __init__(self, pages: Handler) -> None:
        self._pages = pages

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_ours = path == PREFIX or path.startswith(f"{PREFIX}/")
        if not is_ours or path == DOCUMENTS:
            return self._pages(request)
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            # A bot that is led on to TLS goes on sending its signatures in the clear.
            return HttpResponse("HTTPS is required.\n", "text/plain", 403)
        # The last page on this thread may have been in another language.
        translation.activate(settings.LANGUAGE_CODE)
        below = path.removeprefix(PREFIX) or "/"
        view, args, kwargs = get_resolver(_URLS).resolve(below)
        answer: HttpResponseBase = view(request, *args, **kwargs)
        render = getattr(answer, "render", None)
        if render is not None:
            answer = render()
        answer.headers["Content-Length"] = str(len(answer.content))  # type: ignore[attr-defined]
        return answer
