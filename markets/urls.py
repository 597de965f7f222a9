"""Routes of the trading pages and of what their scripts ask for."""

from __future__ import annotations

from django.urls import path

from markets import views
from markets.api import page

urlpatterns = [
    path("", views.home, name="home"),
    path("api/v2/docs", page.page, name="api_docs"),
    path("markets/<str:market_id>", views.market, name="market"),
    path("markets/<str:market_id>/snapshot", views.snapshot, name="snapshot"),
    path("markets/<str:market_id>/candles", views.candle_rows, name="candles"),
    path("markets/<str:market_id>/orders", views.place, name="place_order"),
    path("markets/<str:market_id>/orders/clear", views.clear, name="clear_orders"),
    path(
        "markets/<str:market_id>/orders/<int:order_id>",
        views.cancel,
        name="cancel_order",
    ),
]
