"""The paths of REST v2, each with and without `.json`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from accounts.api import errors
from accounts.api.views import CORS, ApiView
from markets.api import market_data, members, orders


def _route(path: str, view: type[ApiView]) -> URLPattern:
    # Any suffix arrives at the endpoint, which knows that 406 is the answer to most.
    return re_path(rf"\A{path}(?P<suffix>\.[^/]*)?\Z", view.as_view())


@csrf_exempt
def nothing_here(_request: HttpRequest) -> HttpResponse:
    """Answer for every other path, the way the ancestor did."""
    return errors.text("Not Found", 404, CORS)


urlpatterns = [
    _route("markets", market_data.Markets),
    _route("tickers", market_data.Tickers),
    _route(r"tickers/(?P<market>[^/.]+)", market_data.TickerOfMarket),
    _route("depth", market_data.Depth),
    _route("trades", market_data.Trades),
    _route("timestamp", market_data.Timestamp),
    _route("members/me", members.Me),
    _route("orders", orders.Orders),
    _route("order", orders.OneOrder),
    _route("order/delete", orders.DeleteOrder),
    _route("orders/clear", orders.ClearOrders),
    re_path(r"", nothing_here),
]
