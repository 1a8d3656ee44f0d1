"""What FastAPI cannot know about the document: keys and roles, bodies of pictures, one envelope for every error."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from vultus.serve.answers import Envelope
from vultus.serve.guard import Needs, needs_of
from vultus.serve.limits import Limits

__all__ = ["api_routes", "document"]

_WORDS = {
    400: "The body could not be read",
    401: "No key, or one that is not valid",
    403: "The role of the key does not allow it, or policy forbids it",
    404: "There is no such thing",
    408: "The body came too slowly",
    409: "It contradicts what is there: another embedding space, another person, a link",
    413: "More than a limit allows",
    415: "Another media type was expected",
    422: "The request is not valid, or the picture is none or shows no face",
    429: "Asked too often: Retry-After says when to ask again",
    500: "A defect of the server",
    503: "Busy or stopping: Retry-After says when to ask again",
    504: "It took too long",
}


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route of the API, /metrics included."""
    return [route for route in app.routes if isinstance(route, APIRoute)]


def document(app: FastAPI, made: dict[str, Any]) -> dict[str, Any]:
    """The document that FastAPI made, with the rest."""
    parts = made.setdefault("components", {})
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "vlt_<id>_<secret>"}}
    schemas = parts.setdefault("schemas", {})
    envelope = Envelope.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= envelope.pop("$defs", {})
    schemas["Envelope"] = envelope
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for route in api_routes(app):
        for method in route.methods or ():
            operation = made["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _completed(operation, needs_of(route.endpoint))
    _without_null(made)
    return made


def _completed(operation: dict[str, Any], need: Needs) -> None:
    operation["x-role"] = need.role
    operation["security"] = [{"key": []}] if need.role else [{}, {"key": []}]
    answers = operation["responses"]
    answers.pop("422", None)
    statuses = {401, 404, 408, 413, 422, 429, 500, 503, 504} | ({403} if need.role else set())
    if need.body != "none":
        statuses |= {400, 415}
    if need.role in ("enroll", "admin", "identify"):
        statuses.add(409)
    for status in sorted(statuses):
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}
        answers[str(status)] = {"description": _WORDS[status], "content": content}
        if status in (429, 503):
            answers[str(status)]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    if need.pictures and need.ask is not None:
        operation["requestBody"] = {"required": True, "content": _bodies(need)}


def _bodies(need: Needs) -> dict[str, Any]:
    """The two ways to send pictures."""
    assert need.ask is not None
    rest = need.ask.model_json_schema()
    fields, more = rest.get("properties", {}), {key: rest[key] for key in ("not",) if key in rest}
    instead, most = need.ask.alternative, Limits().pictures
    form = {key: value for key, value in fields.items() if key not in instead}
    plain = dict(fields)
    for name in need.pictures:
        binary = {"type": "string", "format": "binary"}
        text = {"type": "string", "format": "picture-base64", "contentEncoding": "base64"}
        many = name == "images"
        form[name] = {"type": "array", "items": binary, "minItems": 1, "maxItems": most} if many else binary
        plain[f"{name}_base64"] = {"type": "array", "items": text, "minItems": 1, "maxItems": most} if many else text
    must = list(rest.get("required", []))
    content = {}
    for kind, properties, suffix in (("multipart/form-data", form, ""), ("application/json", plain, "_base64")):
        pictures = [name + suffix for name in need.pictures]
        schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
        if instead and suffix:
            schema["oneOf"] = [{"required": [*must, *pictures]}, {"required": [*must, *instead]}]
            schema["dependentRequired"] = {key: list(instead) for key in instead}
        else:
            schema["required"] = must + pictures
        content[kind] = {"schema": schema}
        if not suffix:
            content[kind]["encoding"] = {
                name: {"contentType": "image/png, image/jpeg, image/webp"} for name in need.pictures
            }
    return content


def _without_null(part: Any) -> None:
    """Take out `"default": null`: what may be left out has no default that could be sent."""
    if isinstance(part, dict):
        if part.get("default", 0) is None:
            del part["default"]
        for value in part.values():
            _without_null(value)
    elif isinstance(part, list):
        for value in part:
            _without_null(value)
