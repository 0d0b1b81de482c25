"""A JSON Schema of tasks for structured outputs of models: strict objects only, one form of a step for each tool.

Models that are bound to a schema support a part of JSON Schema: every object is closed and requires all its members,
and what is optional may be null. DraftTask leaves out the nulls.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.drafts.habits.context import ToolInfo

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE = {"type": "string", "description": "A template with `${expression}`, such as `${steps.a.x}`."}
TEXT = {"type": "string"}
SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})
DEPTH_MAX = 5  # of nested inputs
Schema = dict[str, Any]


def strict_schema(tools: Iterable[ToolInfo]) -> Schema:
    """The schema of a task whose steps call these tools."""
    steps = [_call(tool) for tool in tools]
    return {
        "$schema": DIALECT,
        "title": "Ordinaut task",
        **_object({"name": _text("`tasks/{task}`"), "schedule": _nullable(_schedule()), "pipeline": _pipeline()}),
        "$defs": {"step": {"anyOf": [*steps, _group(), _loop()]}},
    }


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _text(description: str) -> Schema:
    return {**TEXT, "description": description}


def _schedule() -> Schema:
    triggers = [
        _object({"cron": _text("Five fields, such as `0 9 * * 1-5`.")}),
        _object({"interval": _text("A duration, such as `15m`.")}),
        _object({"once": _text("RFC 3339, or a local time.")}),
        _object({"event": _object({"topic": TEXT, "when": _nullable(TEXT)})}),
    ]
    zone = _text("IANA time zone of local times, such as `Europe/Berlin`.")
    return _object({"triggers": {"type": "array", "items": {"anyOf": triggers}}, "time_zone": _nullable(zone)})


def _pipeline() -> Schema:
    return _object({"version": {"type": "integer", "enum": [1]}, "steps": _steps()})


def _steps() -> Schema:
    return {"type": "array", "items": {"$ref": "#/$defs/step"}}


def _call(tool: ToolInfo) -> Schema:
    modifiers = {
        "if": _nullable(_text("A condition, such as `steps.a.x > 20`.")),
        "timeout": _nullable(_text("A duration, such as `30s`.")),
        "retry": _nullable({"type": "integer"}),
        "on_error": _nullable({"type": "string", "enum": ["fail", "continue"]}),
    }
    uses = {"type": "string", "enum": [tool.name]}
    return _object({"id": TEXT, "uses": uses, "with": _input(tool.input_schema), **modifiers})


def _group() -> Schema:
    return _object({"id": TEXT, "if": _nullable(TEXT), "do": _steps(), "else": _nullable(_steps())})


def _loop() -> Schema:
    return _object({"id": TEXT, "foreach": _text("A list, such as `steps.a.items`."), "do": _steps()})


def _input(schema: Any) -> Schema:
    strict = _strict(schema, 1)
    return strict if strict.get("type") == "object" else _object({})


def _strict(schema: Any, depth: int) -> Schema:
    """The part of a schema that a strict one can express; a value that it cannot express is a template."""
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        return dict(TEMPLATE)
    described = {"description": str(schema["description"])[:500]} if "description" in schema else {}
    if isinstance(schema.get("enum"), list) and all(isinstance(item, str) for item in schema["enum"]):
        return {"type": "string", "enum": list(schema["enum"]), **described}
    kind = schema.get("type")
    if isinstance(schema.get("properties"), Mapping) and schema["properties"]:
        return {**_members(schema, depth), **described}
    if kind == "array":
        items = {"type": "array", "items": _strict(schema.get("items"), depth + 1)}
        return {"anyOf": [items, dict(TEMPLATE)], **described}
    kinds = [each for each in (kind if isinstance(kind, list) else [kind]) if each in SCALARS]
    if not kinds:
        return {**TEMPLATE, **described}
    choices = [{"type": each} for each in kinds] + ([] if "string" in kinds else [dict(TEMPLATE)])
    return {**(choices[0] if len(choices) == 1 else {"anyOf": choices}), **described}


def _members(schema: Mapping[str, Any], depth: int) -> Schema:
    required = schema.get("required")
    names = set(required) if isinstance(required, list) else set()
    properties = {}
    for name, part in schema["properties"].items():
        strict = _strict(part, depth + 1)
        properties[name] = strict if name in names else _nullable(strict)
    return _object(properties)
