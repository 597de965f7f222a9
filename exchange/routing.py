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


async def upgrade_required(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer whoever speaks plain HTTP here: a health check, a lost browser."""
    headers = [(b"upgrade", b"websocket"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": b"Websockets only.\n"})


async def nobody_here(_scope: Any, _receive: Any, send: Any) -> None:
    """Refuse a websocket at a path that is none of ours."""
    await send({"type": "websocket.close", "code": 4004})


_pages = URLRouter([*routing.pages, _at_any_path(nobody_here)])
application = ProtocolTypeRouter(
    {
        "http": upgrade_required,
        "websocket": URLRouter([*routing.bots, _at_any_path(OriginGate(_pages))]),
    }
)
# The ancestor's bots connect to a port of their own, at any path.
bots = ProtocolTypeRouter(
    {"http": upgrade_required, "websocket": BotConsumer.as_asgi()}
)
