"""The JSON Schema of a task, for editors and models: its fields from the contract, its pipeline from the language."""

from importlib.resources import files
from typing import Any

import orjson

from gateway.rest.openapi.schemas import Schemas
from ordinaut.v1.task_pb2 import Task

COMPONENTS, DEFINITIONS = "#/components/schemas/", "#/$defs/"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def task_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a document that CreateTask accepts, with the fields that a caller may set."""
    schemas = Schemas()
    task = schemas.object(Task.DESCRIPTOR)
    properties = {
        name: value for name, value in task["properties"].items() if not value.get("readOnly") and name != "etag"
    }
    language = orjson.loads(files("ordinaut").joinpath("pipeline.schema.json").read_bytes())
    properties["pipeline"] = {"$ref": f"{DEFINITIONS}pipeline", "description": properties["pipeline"]["description"]}
    used = {name: schemas.components[name] for name in _reachable(properties, schemas.components)}
    document: dict[str, Any] = {
        "$schema": DIALECT,
        "title": "Ordinaut task",
        "description": task["description"],
        "type": "object",
        "properties": properties,
        "required": ["pipeline"],
        "additionalProperties": False,
        "$defs": {**language["$defs"], **used},
    }
    referring: dict[str, Any] = _referring(document)
    return referring


def _reachable(value: Any, components: dict[str, Any]) -> list[str]:
    """The names of the components that a schema refers to, directly or not."""
    names: list[str] = []
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix(COMPONENTS)
            if name in components and name not in names:
                names.append(name)
                stack.append(components[name])
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
    return names


def _referring(value: Any) -> Any:
    """A schema with references to its own `$defs`."""
    if isinstance(value, dict):
        return {
            key: item.replace(COMPONENTS, DEFINITIONS) if key == "$ref" else _referring(item)
            for key, item in value.items()
        }
    return [_referring(item) for item in value] if isinstance(value, list) else value
