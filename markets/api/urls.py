"""The paths of REST v2, each with and without `.json`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from accounts.api import errors
from accounts.api.views import CORS, ApiView
from markets.api import documents
from markets.api.described import ROUTES

_DOCUMENTS: list[tuple[str, type[ApiView]]] = [
    ("schema", documents.Schema),
    ("doc/swagger", documents.SwaggerListing),
    ("doc/swagger/{resource}", documents.SwaggerDeclaration),
]


def _route(path: str, view: type[ApiView]) -> URLPattern:
    pattern = path.replace("{", "(?P<").replace("}", r">[^/.]+)")
    # Any suffix arrives at the endpoint, which knows that 406 is the answer to most.
    return re_path(rf"\A{pattern}(?P<suffix>\.[^/]*)?\Z", view.as_view())


@csrf_exempt
def nothing_here(_request: HttpRequest) -> HttpResponse:
    """Answer for every other path, the way the ancestor did."""
    return errors.text("Not Found", 404, CORS)


urlpatterns = [
    *(_route(path, view) for path, view in [*ROUTES.items(), *_DOCUMENTS]),
    re_path(r"", nothing_here),
]
