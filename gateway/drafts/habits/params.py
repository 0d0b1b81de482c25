"""Params that were written as declarations: `{city: {type: string, default: Berlin}}`."""

from typing import Any

from gateway.drafts.draft import ASSUMED, Draft
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.words import folded
from gateway.drafts.tree import Array, Object, plain

TYPES = {
    **dict.fromkeys(("string", "str", "text"), "string"),
    **dict.fromkeys(("integer", "int"), "integer"),
    **dict.fromkeys(("number", "float", "double", "decimal"), "number"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("array", "list"), "array"),
    **dict.fromkeys(("object", "dict", "map", "json"), "object"),
}
KEYWORDS = frozenset(
    {
        "type",
        "default",
        "description",
        "required",
        "enum",
        "choices",
        "options",
        "minimum",
        "maximum",
        "format",
        "title",
        "example",
    }
)
SCHEMA_WORDS = frozenset({"type", "properties", "required", "$schema", "additionalProperties", "title", "description"})


def declared_params(work: Work) -> None:
    """Separates values and schema of params."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    params = root.get("params")
    if params is None and "params" in root:
        draft.remove(root, "params", "Empty params are left out.")
    if isinstance(params, Array):
        params = _listed(draft, root, params)
    if not isinstance(params, Object) or not params:
        return
    if (
        params.get("type") == "object"
        and isinstance(params.get("properties"), Object)
        and not set(params) - SCHEMA_WORDS
    ):
        if "params_schema" not in root:
            draft.rename(root, "params", "params_schema", "It is the JSON Schema of the params.")
            _defaults(draft, root)
        return
    if "params_schema" not in root and all(_is_declaration(value) for value in params.values()):
        _split(draft, root, params)


def _is_declaration(value: Any) -> bool:
    if not isinstance(value, Object) or not value or not {folded(key) for key in value} <= KEYWORDS:
        return False
    return value.get("type") in TYPES or ("type" not in value and bool({"default", "required"} & set(value)))


def _listed(draft: Draft, root: Object, params: Array) -> Any:
    """`params: [{name: city, default: Berlin}]`."""
    if not params or not all(isinstance(item, Object) and isinstance(item.get("name"), str) for item in params):
        return params
    if all(set(item) == {"name", "value"} for item in params):
        named: dict[str, Any] = {item["name"]: item["value"] for item in params}
    else:
        named = {item["name"]: Object({key: value for key, value in item.items() if key != "name"}) for item in params}
    draft.put(root, "params", named, "Params are an object.")
    return root["params"]


def _split(draft: Draft, root: Object, params: Object) -> None:
    properties, required, values = {}, [], {}
    for name, declaration in params.items():
        properties[name] = _schema(declaration)
        if "default" in declaration:
            values[name] = plain(declaration["default"])
        elif declaration.get("required") is True:
            required.append(name)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if any(properties.values()):
        draft.put(root, "params_schema", schema, "The types of params are a JSON Schema.", ASSUMED)
    if values:
        draft.put(root, "params", values, "The values of params are their defaults.", ASSUMED)
    else:
        draft.remove(root, "params", "No param has a default.", ASSUMED)


def _schema(declaration: Object) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for key, value in declaration.items():
        name = folded(key)
        if name == "type":
            schema["type"] = TYPES[value]
        elif name in {"choices", "options", "enum"}:
            schema["enum"] = plain(value)
        elif name in {"description", "minimum", "maximum", "format", "title"}:
            schema[name] = plain(value)
    return schema


def _defaults(draft: Draft, root: Object) -> None:
    values = {
        name: plain(value["default"])
        for name, value in root["params_schema"]["properties"].items()
        if isinstance(value, Object) and "default" in value
    }
    if values:
        draft.put(root, "params", values, "The values of params are their defaults.", ASSUMED)
