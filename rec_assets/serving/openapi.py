"""The OpenAPI 3.1 document, made from the table of operations and the types of the messages, so that it is true."""

import functools
import re
from typing import Any

import msgspec

from rec_assets.serving import messages
from rec_assets.serving.api import OPERATIONS, VERSION, Operation

FAILURES = {
    "400": "The body is no JSON.",
    "401": "A key is needed.",
    "403": "The key does not have the scope.",
    "404": "There is nothing of this name.",
    "408": "The body was not complete in time.",
    "413": "The body is larger than 4 MiB.",
    "422": "A field is wrong; it is named.",
    "429": "Too many requests; Retry-After says when to try again.",
    "503": "This worker is not ready, or the log cannot be written.",
}
WHO = {"user_id": "string", "history_item_ids": "array"}  # null is as good as nothing
REFERENCE = "#/components/schemas/{name}"


@functools.cache
def document() -> bytes:
    """The document as JSON."""
    types = [kind for operation in OPERATIONS for kind in (operation.takes, operation.gives) if kind is not None]
    types += [messages.Failure]
    _, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    for kind in (messages.Recommend, messages.Rank, messages.Explain):  # one or the other
        components[kind.__name__]["oneOf"] = [
            {"required": [name], "properties": {name: {"type": told}}} for name, told in WHO.items()
        ]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Recommender",
                "version": VERSION,
                "description": "What happened a moment ago changes what is shown next. Errors name the field.",
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"key": []}, {}],
        }
    )


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Scope: {operation.scope}.",
        "parameters": _parameters(operation),
        "responses": {"200": _answer(operation)}
        | {status: {"description": told, "content": _json(messages.Failure)} for status, told in FAILURES.items()},
    }
    if operation.takes is not None:
        content = _json(operation.takes)
        content["application/json"]["example"] = operation.example
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1, "maxLength": 256}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.asks is not None:
        _, schemas = msgspec.json.schema_components([operation.asks], ref_template=REFERENCE)
        for name, schema in schemas[operation.asks.__name__]["properties"].items():
            kinds = schema.pop("anyOf", [schema])
            found.append({"name": name, "in": "query", "schema": next(k for k in kinds if k.get("type") != "null")})
    return found


def _answer(operation: Operation) -> dict[str, Any]:
    if operation.gives is None:
        kind = "text/event-stream" if operation.name == "events" else "text/plain"
        return {"description": operation.summary, "content": {kind: {"schema": {"type": "string"}}}}
    return {"description": operation.summary, "content": _json(operation.gives)}


def _json(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=REFERENCE)
    return {"application/json": {"schema": schema}}
