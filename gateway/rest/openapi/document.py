"""Generates the OpenAPI 3.1 document from the descriptors of the served API."""

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

* Every call requires a token: `Authorization: Bearer ord1_...`. The first one is in `DIR/admin.token` of
  `ordinaut up --data-dir DIR`.
* Bodies are JSON or YAML 1.2. Field names may be `next_fire_time` or `nextFireTime`; responses use the former.
  Durations are strings such as `90s`, `5m`, `1h30m`, `7d`, `PT1H`.
* Unknown fields are refused. An error lists all violations, each with its path, and fixes if there are any.
* `Idempotency-Key` (or `request_id`) makes a call repeatable for 24 hours. `If-Match` refuses lost updates.
* Streams are newline-delimited JSON, or Server-Sent Events with `Accept: text/event-stream`.
* JSON Schema of the pipeline language: [/v1/pipeline.schema.json](/v1/pipeline.schema.json).
* JSON Schema of a task: [/v1/task.schema.json](/v1/task.schema.json).
"""
PARAMETERS = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "maxLength": 64},
        "description": "Sets `request_id`: the same key and request get the same response for 24 hours.",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The ETag of the resource to change; 412 if it is outdated.",
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "description": "The last position received; browsers send it when they reconnect.",
    },
}


def openapi(routes: Iterable[Route]) -> dict[str, Any]:
    """Returns the document."""
    schemas = Schemas()
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
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "ord1_..."}},
            "parameters": PARAMETERS,
            "responses": {"Error": RESPONSE},
            "schemas": {**dict(sorted(schemas.components.items())), **SCHEMAS},
        },
    }


SERVICES = ("TaskService", "RunService", "EventService", "ToolService", "StateService")  # listed first


def _order(route: Route) -> tuple[int, str, int, str]:
    """Sorts by service, then by the order in the proto."""
    service = route.method.containing_service
    first = SERVICES.index(service.name) if service.name in SERVICES else len(SERVICES)
    return first, service.name, route.method.index, route.template.text
