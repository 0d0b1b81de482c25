"""Extends the JSON Schema of pipelines with the tools of a project: `uses` is a tool, `with` matches its input."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

TEMPLATE = {"type": "string", "pattern": r"\$\{"}
"""A string with a placeholder, whose value is known only at run time."""
OF_VALUES = ("properties", "patternProperties")
OF_ONE = ("additionalProperties", "items", "contains")
OF_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
REFERENCES = frozenset({"$ref", "$dynamicRef", "$id", "$anchor"})


def with_tools(schema: Mapping[str, Any], tools: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a copy that checks each step against its tool; `tools` are `ordinaut.v1.Tool` messages as JSON.

    The input of a tool is not checked if its schema contains references.
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
    """The schema, in which every nested value may also be a template."""
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
