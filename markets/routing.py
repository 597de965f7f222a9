"""Websocket routes of the markets: for pages, and for bots."""

from __future__ import annotations

from django.urls import path

from markets.bots import BotConsumer
from markets.consumers import MarketConsumer, TickersConsumer

pages = [
    path("ws/markets/<str:market_id>", MarketConsumer.as_asgi()),
    path("ws/tickers", TickersConsumer.as_asgi()),
]
# A key proves who asks: sessions and origins do not matter here.
bots = [path("ws/v2", BotConsumer.as_asgi())]
