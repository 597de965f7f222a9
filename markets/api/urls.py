"""The paths of REST v2, each with and without `.json`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, re_path
from django.views.decorators.csrf import csrf_exempt

from accounts.api import errors
from accounts.api.views import CORS, ApiView
from markets.api import market_data, members, orders
from wallets.api import deposits


def _route(path: str, view: type[ApiView]) -> URLPattern:
    # Any suffix arrives at the endpoint, which knows that 406 is the answer to most.
    return re_path(rf"\A{path}(?P<suffix>\.[^/]*)?\Z", view.as_view())


@csrf_exempt
def nothing_here(_request: HttpRequest) -> HttpResponse:
    """Answer for every other path, the way the ancestor did."""
    return errors.text("Not Found", 404, CORS)


urlpatterns = [
    # First what is asked for most: they are tried in turn.
    _route("orders", orders.Orders),
    _route("markets", market_data.Markets),
    _route("tickers", market_data.Tickers),
    _route(r"tickers/(?P<market>[^/.]+)", market_data.TickerOfMarket),
    _route("order_book", market_data.OrderBook),
    _route("depth", market_data.Depth),
    _route("trades", market_data.Trades),
    _route("trades/my", market_data.MyTrades),
    _route("k", market_data.Candles),
    _route("k_with_pending_trades", market_data.CandlesWithPendingTrades),
    _route("timestamp", market_data.Timestamp),
    _route("members/me", members.Me),
    _route("deposits", deposits.Deposits),
    _route("deposit", deposits.OneDeposit),
    _route("deposit_address", deposits.DepositAddress),
    _route("orders/multi", orders.ManyOrders),
    _route("order", orders.OneOrder),
    _route("order/delete", orders.DeleteOrder),
    _route("orders/clear", orders.ClearOrders),
    re_path(r"", nothing_here),
]
