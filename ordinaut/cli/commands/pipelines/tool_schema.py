"""The language's JSON Schema with a project's tools: `uses` names one of them, `with` fits it."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

TEMPLATE = {"type": "string", "pattern": r"\$\{"}
"""A text with a placeholder may become anything."""
OF_VALUES = ("properties", "patternProperties")
OF_ONE = ("additionalProperties", "items", "contains")
OF_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
REFERENCES = frozenset({"$ref", "$dynamicRef", "$id", "$anchor"})


def with_tools(schema: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A copy in which each step is checked against its tool; the tools are `ordinaut.v1.Tool` as JSON.

    The input of a tool whose schema refers to parts of itself is left open.
    """
    extended: dict[str, Any] = copy.deepcopy(dict(schema))
    step = extended["$defs"]["step"]
    choices = []
    for tool in tools:
        name = str(tool.get("name", "")).removeprefix("tools/")
        choices.append({"const": name, "description": tool.get("description", "")})
        input_schema = tool.get("input_schema")
        if isinstance(input_schema, Mapping) and input_schema and not _refers(input_schema):
            step.setdefault("allOf", []).append(_rule(name, input_schema))
    step["properties"]["uses"] = {"description": step["properties"]["uses"]["description"], "oneOf": choices}
    return extended


def _rule(name: str, input_schema: Mapping[str, Any]) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"with": {"anyOf": [_relaxed(input_schema), TEMPLATE]}}}
    if input_schema.get("required"):
        then["required"] = ["with"]
    return {"if": {"properties": {"uses": {"const": name}}, "required": ["uses"]}, "then": then}


def _relaxed(schema: Any) -> Any:
    """The schema with a template allowed in place of every value below the first."""
    if not isinstance(schema, Mapping):
        return schema
    relaxed = {key: value for key, value in schema.items() if key != "$schema"}
    for key in OF_VALUES:
        if isinstance(relaxed.get(key), Mapping):
            relaxed[key] = {name: _or_template(part) for name, part in relaxed[key].items()}
    for key in OF_ONE:
        if isinstance(relaxed.get(key), Mapping):
            relaxed[key] = _or_template(relaxed[key])
    for key in OF_MANY:
        if isinstance(relaxed.get(key), list):
            place = _or_template if key == "prefixItems" else _relaxed
            relaxed[key] = [place(part) for part in relaxed[key]]
    return relaxed


def _or_template(schema: Any) -> Any:
    return {"anyOf": [_relaxed(schema), TEMPLATE]}


def _refers(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return bool(REFERENCES & schema.keys()) or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
