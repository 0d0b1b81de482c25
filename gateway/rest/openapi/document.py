"""The API as an OpenAPI 3.1 document, made from the contract that is served."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from gateway.rest.openapi.comments import comments
from gateway.rest.openapi.errors import RESPONSE, SCHEMAS
from gateway.rest.openapi.operations import operation, tag_of
from gateway.rest.openapi.paths import readable
from gateway.rest.openapi.schemas import Schemas
from gateway.rest.transcoding.routes import Route

ABOUT = """\
Time, state and discipline for AI agents: say **what** should happen, **when**, and **under which rules**.

* Every call needs a token: `Authorization: Bearer ord_...`. The first one is in `DIR/admin.token` of
  `ordinaut up --data-dir DIR`.
* Bodies are JSON or YAML 1.2. Fields may be spelled `next_fire_time` or `nextFireTime`; answers use the first.
  Durations are written as people do: `90s`, `5m`, `1h30m`, `7d`, `PT1H`.
* Unknown fields are refused. An error tells every problem at once, each with its path, and repairs where there are any.
* `Idempotency-Key` (or `request_id`) makes a call repeatable for 24 hours. `If-Match` refuses lost updates.
* Streams are lines of JSON, or Server-Sent Events with `Accept: text/event-stream`.
* The language of pipelines has a JSON Schema of its own: [/v1/pipeline.schema.json](/v1/pipeline.schema.json).
"""
PARAMETERS = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "maxLength": 64},
        "description": "The header for `request_id`: the same key and request get the same answer for 24 hours.",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The ETag of what is changed; 412 when it has changed since.",
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "description": "The last position seen; browsers send it by themselves when they reconnect.",
    },
}


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    schemas = Schemas(SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, str] = {}
    for route in sorted(routes, key=_order):
        path, _ = readable(route.template)
        paths.setdefault(path, {})[route.verb.lower()] = operation(route, schemas)
        tags[tag_of(route)] = comments().get(route.method.containing_service.full_name, "").partition(" Every ")[0]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ordinaut",
            "version": version("ordinaut"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "ord_..."}},
            "parameters": PARAMETERS,
            "responses": {"Error": RESPONSE},
            "schemas": {**dict(sorted(schemas.components.items())), **SCHEMAS},
        },
    }


SERVICES = ("TaskService", "RunService", "EventService", "ToolService", "StateService")  # what most come for, first


def _order(route: Route) -> tuple[int, str, int, str]:
    """By noun; inside of one by the contract's own order."""
    service = route.method.containing_service
    first = SERVICES.index(service.name) if service.name in SERVICES else len(SERVICES)
    return first, service.name, route.method.index, route.template.text
