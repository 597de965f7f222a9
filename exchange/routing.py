"""Every websocket route, by app."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth.models import AnonymousUser
from django.urls import re_path

from markets import routing
from markets.bots import BotConsumer


class OriginGate:
    """
    Only our own pages may ride on a member's session. A browser always says where its
    page came from; who says nothing is a program and gets the public data, whatever
    cookie it sends.
    """

    def __init__(self, routes: Any) -> None:
        self._public = routes
        self._pages = AllowedHostsOriginValidator(AuthMiddlewareStack(routes))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if any(name == b"origin" for name, _ in scope["headers"]):
            await self._pages(scope, receive, send)
        else:
            await self._public(scope | {"user": AnonymousUser()}, receive, send)


def _at_any_path(routes: Any) -> Any:
    return re_path(r"", routes)


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [*routing.bots, _at_any_path(OriginGate(URLRouter(routing.pages)))]
        )
    }
)
# The ancestor's bots connect to a port of their own, at any path.
bots = ProtocolTypeRouter({"websocket": BotConsumer.as_asgi()})
