"""
What every endpoint of REST v2 has in common: parameters, keys, limits, JSON, CORS.

An endpoint names the scopes that open it per verb, reads `self.parameters`, makes one
call to the domain and answers. The endpoints themselves live with what they serve; most
are in markets.api, which may look down here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast
from urllib.parse import quote

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import signed_headers, throttling, tonces
from accounts.api import errors, parameters
from accounts.models.members import Member
from accounts.models.tokens import ApiToken

CREDENTIALS = ("access_key", "tonce", "signature")
# The other way to sign, as a WSGI environment names its headers.
_HEADERS = {
    f"HTTP_{name.upper().replace('-', '_')}": name for name in signed_headers.NAMES
}

# Any page may call us: requests are signed, and no cookie of ours counts here.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After"
    ),
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",  # a day, the most that browsers honour
}


class Json(BaseRenderer):
    """JSON without blanks; amounts are texts already."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, *_context: Any) -> bytes:
        return msgspec.json.encode(data)


class ApiView(APIView):
    """
    An endpoint of REST v2.

    `scopes` says per verb which scopes open it; a verb that is not in it is public. A
    request that carries all three credentials, or the header of a key, is verified even
    where it is public.
    """

    scopes: ClassVar[Mapping[str, Sequence[str]]] = {}

    # Which counters a request counts on: see throttling.count_address.
    bucket: ClassVar[str] = "all"

    renderer_classes = (Json,)

    parameters: parameters.Parameters
    now: datetime
    _address: str
    _member: Member | None = None
    _token: ApiToken | None = None
    _standing: throttling.Standing | None = None

    @property
    def member(self) -> Member:
        """Who signed this request. Only for verbs that are not public."""
        if self._member is None:
            raise errors.Failure(
                401, errors.AUTHORIZATION_FAILED, "Authorization failed"
            )
        return self._member

    @property
    def token(self) -> ApiToken:
        """The key that signed this request. Only for verbs that are not public."""
        if self._token is None:
            raise errors.Failure(
                401, errors.AUTHORIZATION_FAILED, "Authorization failed"
            )
        return self._token

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Nothing varies, and who asks for a wrong verb is told so."""
        return {}

    def initial(self, request: Request, *args: Any, **path: Any) -> None:
        self.now = timezone.now()
        self._address = throttling.client_address(request.META)
        if request.method == "OPTIONS":
            self._count_address()
            return
        try:
            if path.pop("suffix", ".json") != ".json":
                raise errors.Failure(406, errors.GENERIC, "This API speaks JSON only.")
            self.parameters = parameters.collect(request._request, path)
            if "HTTP_X_API_KEY" in request.META:
                self._believe(self._verify_headers(request._request))
            elif self.parameters.has(*CREDENTIALS):
                self._believe(self._verify(request._request))
        finally:
            # A bot that signs counts for its key alone: others share its address.
            if self._member is None:
                self._count_address()
        if self._member is None and self._wanted_scopes(request) is not None:
            self.refuse_unsigned()

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        """There is one format; what the Accept header wishes changes nothing."""
        return Json(), Json.media_type

    def refuse_unsigned(self) -> None:
        """Answer a private call without complete credentials."""
        raise errors.Failure(401, errors.AUTHORIZATION_FAILED, "Authorization failed")

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Answer a browser that asks whether it may call."""
        return _as_response(HttpResponse(status=204, headers=_PREFLIGHT))

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, throttling.LimitReached):
            self._standing = exc.standing
        return _as_response(errors.answer(exc))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in CORS.items():
            response[name] = value
        if (standing := self._standing) is not None:
            response["RateLimit-Limit"] = str(standing.limit)
            response["RateLimit-Remaining"] = str(standing.remaining)
            response["RateLimit-Reset"] = str(standing.reset_seconds)
        return response

    def _verify(self, request: HttpRequest) -> ApiToken:
        read = self.parameters.required
        credentials = tonces.Credentials(*map(read, CREDENTIALS))
        self.parameters.demand_valid()
        query = self.parameters.canonical_query()
        return tonces.verify_request(
            credentials=credentials,
            payload=f"{request.method}|{request.path}|{query}",
            scopes=self._wanted_scopes(request) or (),
            address=self._address,
            now=self.now,
        )

    def _verify_headers(self, request: HttpRequest) -> ApiToken:
        meta = request.META
        given = {name: meta[key] for key, name in _HEADERS.items() if key in meta}
        return signed_headers.verify(
            headers=signed_headers.read(given),
            sent=signed_headers.Sent(
                verb=str(request.method),
                host=meta.get("HTTP_HOST", ""),
                # The server has decoded it; written anew, there is one way to write it.
                path=quote(request.path),
                query=meta.get("QUERY_STRING", "").encode("latin-1", "replace"),
                body=request.body,
            ),
            scopes=self._wanted_scopes(request) or (),
            address=self._address,
            now=self.now,
        )

    def _believe(self, token: ApiToken) -> None:
        """Take the token's member for who asks, and count the request for both."""
        self._member, self._token = token.member, token
        now, bucket = self.now, self.bucket
        of_key = throttling.count_key(token.access_key, now=now, bucket=bucket)
        of_member = throttling.count_member(token.member_id, now=now, bucket=bucket)
        self._standing = min(of_key, of_member, key=lambda each: each.remaining)

    def _wanted_scopes(self, request: Request | HttpRequest) -> Sequence[str] | None:
        """Return the scopes that open this verb; None where it is public."""
        verb = "GET" if request.method == "HEAD" else str(request.method)
        return self.scopes.get(verb)

    def _count_address(self) -> None:
        self._standing = throttling.count_address(
            self._address, now=self.now, bucket=self.bucket
        )


class SignedParameters(ApiView):
    """
    A private endpoint whose credentials are parameters among others: where they are
    missing, so much is said of each (1001), as the ancestor did here.
    """

    def refuse_unsigned(self) -> None:
        self.note_missing()
        self.parameters.demand_valid()

    def note_missing(self) -> None:
        """Note each credential that is missing, and what else is in the same breath."""
        for name in CREDENTIALS:
            self.parameters.required(name)


def _as_response(response: HttpResponse) -> Response:
    """REST framework passes on any answer; only its types insist on its own class."""
    return cast(Response, response)
