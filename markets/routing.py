"""Websocket routes of the markets."""

from __future__ import annotations

from django.urls import path

from markets.consumers import MarketConsumer, TickersConsumer

websocket_urlpatterns = [
    path("ws/markets/<str:market_id>", MarketConsumer.as_asgi()),
    path("ws/tickers", TickersConsumer.as_asgi()),
]
