"""
The documents of REST v2: OpenAPI 3.1 as drf-spectacular writes it, and from the same
text swagger 1.2, which the ancestor served and some old tools still read.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import signed_headers
from accounts.api import errors
from accounts.api.errors import Failure
from accounts.api.views import CREDENTIALS, ApiView
from markets.api import described
from markets.api.described import Endpoint, Json, answer_of

TITLE = "Pixiu Exchange, REST v2"
BASE = "/api/v2"
_FORM, _JSON, _TEXT = (
    "application/x-www-form-urlencoded",
    "application/json",
    "text/plain",
)
# Either way will do; of the headers, the window may be left out.
_HEADERS = [name for name in signed_headers.NAMES if name != "X-Api-Window"]
_SIGNED: Any = [{name: [] for name in names} for names in (CREDENTIALS, _HEADERS)]
_ALWAYS = (400, 401, 413, 415, 503)
_MEANINGS = {
    400: "the request is refused, and says why",
    401: "the key or its signature is refused",
    403: "the key may not be used from this address",
    404: "there is no such thing of yours",
    406: "there is no other format than JSON",
    409: "the client id was used before, for other terms",
    413: "the body is too large",
    415: "the body is neither a form nor JSON",
    429: "too many requests; Retry-After says how long to wait",
    503: "busy: nothing has happened, try again",
}


class Schema(ApiView):
    """The OpenAPI document."""

    def get(self, request: Request, **path: Any) -> Response:
        return Response(openapi())


class SwaggerListing(ApiView):
    """What there is of swagger 1.2: one declaration for each first word of a path."""

    def get(self, request: Request, **path: Any) -> Response:
        return Response(
            {
                "apiVersion": "v2",
                "swaggerVersion": "1.2",
                "produces": [_JSON],
                "apis": [
                    {
                        "path": f"/{name}.{{format}}",
                        "description": f"Operations about {name}",
                    }
                    for name in _resources()
                ],
                "info": {"title": TITLE},
            }
        )


class SwaggerDeclaration(ApiView):
    """One declaration of swagger 1.2."""

    def get(self, request: Request, **path: Any) -> Response:
        resource = self.parameters.required("resource")
        if resource not in _resources():
            raise Failure(404, errors.GENERIC, f"There is no resource {resource}.")
        # Absolute, as the ancestor wrote it: "/" before "/api" would name a host.
        base = request.build_absolute_uri("/").rstrip("/")
        return Response(declaration(resource) | {"basePath": base})


@cache
def openapi() -> Json:
    """Return the OpenAPI document of all endpoints."""
    for endpoint in described.ENDPOINTS:
        extend_schema_view(**{endpoint.verb: _extended(endpoint)})(endpoint.view)
    patterns = [
        path(_pattern(where), view.as_view())
        for where, view in described.ROUTES.items()
    ]
    generator: Any = SchemaGenerator
    schema: Json = generator(patterns=patterns).get_schema(request=None, public=True)
    schema["components"] = {
        "schemas": described.SHAPES,
        "securitySchemes": {
            name: {"type": "apiKey", "in": place, "name": name}
            for place, names in (("query", CREDENTIALS), ("header", _HEADERS))
            for name in names
        },
    }
    return schema


def _pattern(where: str) -> str:
    return f"{BASE[1:]}/{where}".replace("{", "<str:").replace("}", ">")


def _extended(endpoint: Endpoint) -> Any:
    """Say of an endpoint what drf-spectacular cannot see."""
    is_get = endpoint.verb == "get"
    status = 200 if is_get else 201
    responses: dict[Any, Any] = {
        (status, _JSON): OpenApiResponse(answer_of(endpoint), endpoint.about),
        (403, _TEXT): OpenApiResponse(OpenApiTypes.STR, _MEANINGS[403]),
        (429, _TEXT): OpenApiResponse(OpenApiTypes.STR, _MEANINGS[429]),
    }
    error = {"$ref": "#/components/schemas/Error"}
    for status in (*_ALWAYS, *endpoint.errors):
        responses[status, _JSON] = OpenApiResponse(error, _MEANINGS[status])
    if endpoint.in_path:
        responses[404, _TEXT] = OpenApiResponse(OpenApiTypes.STR, "no such path")
    body = _body(endpoint)
    return extend_schema(
        operation_id=f"{endpoint.verb}{endpoint.view.__name__}",
        summary=endpoint.about,
        description=" ".join(filter(None, (endpoint.more, _scopes(endpoint)))),
        tags=[endpoint.view.__module__.rpartition(".")[2].replace("_", " ")],
        parameters=[
            OpenApiParameter(
                param.name,
                {k: v for k, v in param.schema.items() if k != "example"},
                OpenApiParameter.PATH
                if param.name in endpoint.in_path
                else OpenApiParameter.QUERY,
                required=param.required,
                description=param.about,
            )
            for param in (endpoint.params if is_get else ())
        ],
        request=None if is_get else {_FORM: body, _JSON: body},
        responses=responses,
        auth=[] if endpoint.scopes is None else _SIGNED,
    )


def _scopes(endpoint: Endpoint) -> str:
    if endpoint.scopes is None:
        return ""
    if not endpoint.scopes:
        return "Any key opens it."
    return f"Scope: {' or '.join(endpoint.scopes)}."


def _body(endpoint: Endpoint) -> Json:
    required = [param.name for param in endpoint.params if param.required]
    body: Json = {
        "type": "object",
        "properties": {
            param.name: param.schema | {"description": param.about}
            for param in endpoint.params
        },
    }
    return body | {"required": required} if required else body


# --- Swagger 1.2 --------------------------------------------------------------------


@cache
def _resources() -> list[str]:
    return sorted({_resource(where) for where in openapi()["paths"]})


def _resource(where: str) -> str:
    return where.removeprefix(f"{BASE}/").partition("/")[0]


@cache
def declaration(resource: str) -> Json:
    """Write the endpoints of a resource the way swagger 1.2 did."""
    document = openapi()
    return {
        "apiVersion": "v2",
        "swaggerVersion": "1.2",
        "resourcePath": f"/{resource}",
        "produces": [_JSON],
        "apis": [
            {
                "path": f"{where}.{{format}}",
                "operations": [
                    _operation(verb.upper(), operation)
                    for verb, operation in operations.items()
                ],
            }
            for where, operations in document["paths"].items()
            if _resource(where) == resource
        ],
        "models": {
            name: {"id": name, **_model(shape)}
            for name, shape in document["components"]["schemas"].items()
            if "properties" in shape
        },
    }


_NEEDED: Json = {"required": True}


def _operation(verb: str, operation: Json) -> Json:
    params = [
        _parameter("format", "path", {"type": "string", "enum": ["json"]}, _NEEDED),
        *(
            _parameter(each["name"], each["in"], each["schema"], each)
            for each in operation.get("parameters", [])
        ),
    ]
    if body := operation.get("requestBody"):
        schema = body["content"][_FORM]["schema"]
        required = schema.get("required", [])
        params += [
            _parameter(name, "form", each, {**each, "required": name in required})
            for name, each in schema["properties"].items()
        ]
    if operation.get("security"):
        kind = "query" if verb == "GET" else "form"
        params += [
            _parameter(name, kind, {"type": "string"}, _NEEDED) for name in CREDENTIALS
        ]
    answer: Json = operation["responses"]["200" if verb == "GET" else "201"]["content"]
    return {
        "method": verb,
        "nickname": operation["operationId"],
        "summary": operation["summary"],
        "notes": operation.get("description", ""),
        "parameters": params,
        "responseMessages": [
            {"code": int(code), "message": each["description"]}
            for code, each in operation["responses"].items()
            if int(code) >= 400
        ],
        **_type(answer[_JSON]["schema"]),
    }


def _parameter(name: str, place: str, schema: Json, about: Json) -> Json:
    words: Json = {
        key: schema[key] for key in ("enum", "minimum", "maximum") if key in schema
    }
    default: Json = {"defaultValue": schema["default"]} if "default" in schema else {}
    return {
        "name": name,
        "paramType": place,
        "description": about.get("description", ""),
        "required": bool(about.get("required", False)),
        "allowMultiple": False,
        **_type(schema),
        **words,
        **default,
    }


def _model(shape: Json) -> Json:
    properties = {name: _type(each) for name, each in shape["properties"].items()}
    return {"properties": properties, "required": shape.get("required", [])}


def _type(schema: Json) -> Json:
    """Say a type in swagger 1.2's words, which know neither null nor nesting."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        shape = described.SHAPES[name]
        # Only objects with named parts are models; of the rest, what they are made of.
        return {"type": name} if "properties" in shape else _type(shape)
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = next(each for each in kind if each != "null")
    if kind == "array":
        items = _type(schema["items"])
        named = (
            "$ref" if items["type"] in openapi()["components"]["schemas"] else "type"
        )
        return {"type": "array", "items": {named: items["type"]}}
    formats = {"integer": "int64", "number": "double"}
    simple = "string" if kind in {"null", "object"} else kind
    return {"type": simple} | ({"format": formats[simple]} if simple in formats else {})
