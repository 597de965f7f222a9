"""Every websocket route, by app."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth.models import AnonymousUser

from markets.routing import websocket_urlpatterns


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


application = ProtocolTypeRouter(
    {"websocket": OriginGate(URLRouter(websocket_urlpatterns))}
)
