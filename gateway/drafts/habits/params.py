"""Params that were written as declarations: `{city: {type: string, default: Berlin}}`."""

import re
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
ALIASES = "aliases"
"""Key of the notes: the paths that names in `env` stand for."""
SECRET = re.compile(r"\$?\{\{?\s*secrets?\.([A-Za-z_]\w*)\s*\}?\}")
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
    _schema_shape(draft, root)
    if isinstance(params, Array):
        params = _listed(draft, root, params)
    if isinstance(params, Object) and params:
        _secrets(work, params)
        _declared(draft, root, params)


def _secrets(work: Work, params: Object) -> None:
    for name, value in list(params.items()):
        if isinstance(value, str) and (match := SECRET.fullmatch(value.strip())) is not None:
            work.notes.setdefault(ALIASES, {})[name] = ("secrets", match[1].lower())
            work.draft.remove(params, name, "A secret is read where it is used, not from a param.", ASSUMED)


def _declared(draft: Draft, root: Object, params: Object) -> None:
    if not params:
        root.pop("params")
        return
    properties, extra = params.get("properties"), set(params) - SCHEMA_WORDS
    if params.get("type") == "object" and isinstance(properties, Object) and not extra:
        if "params_schema" not in root:
            draft.rename(root, "params", "params_schema", "It is the JSON Schema of the params.")
            _defaults(draft, root)
    elif "params_schema" not in root and all(_is_declaration(value) for value in params.values()):
        _split(draft, root, params)


def _schema_shape(draft: Draft, root: Object) -> None:
    """`params_schema: {city: string}`, `required: city`, types in other words."""
    schema = root.get("params_schema")
    if not isinstance(schema, Object) or not schema:
        return
    keywords = {"type", "properties", "$ref", "allOf", "anyOf", "oneOf", "$schema"}
    values = [value for value in schema.values() if isinstance(value, str | Object)]
    if not set(schema) & keywords and all(
        _is_declaration(value) if isinstance(value, Object) else value in TYPES for value in values
    ):
        shapes = {key: value if isinstance(value, Object) else {"type": value} for key, value in schema.items()}
        draft.put(root, "params_schema", {"type": "object", "properties": shapes}, "It is a JSON Schema.")
        schema = root["params_schema"]
    if isinstance(schema.get("required"), str):
        draft.put(schema, "required", Array([schema["required"]]), "`required` is a list.")
    properties: Any = schema.get("properties")
    for name, value in list(properties.items() if isinstance(properties, Object) else ()):
        if isinstance(value, str) and folded(value) in TYPES:
            draft.put(properties, name, {"type": TYPES[folded(value)]}, "The schema of a param is an object.")
        elif isinstance(value, Object) and isinstance(kind := value.get("type"), str):
            known = TYPES.get(folded(kind))
            if known and kind not in TYPES.values():
                draft.put(value, "type", known, "Writes the type as in JSON Schema.")


def _is_declaration(value: Any) -> bool:
    if not isinstance(value, Object) or not value or not {folded(key) for key in value} <= KEYWORDS:
        return False
    return value.get("type") in TYPES or ("type" not in value and bool({"default", "required"} & set(value)))


def _listed(draft: Draft, root: Object, params: Array) -> Any:
    """`params: [{name: city, default: Berlin}]`."""
    pairs = [item.split("=", 1) for item in params if isinstance(item, str) and re.fullmatch(r"\w+=.*", item)]
    if pairs and len(pairs) == len(params):
        draft.put(root, "params", dict(pairs), "Params are an object.", ASSUMED)
        return root["params"]
    if not params or not all(isinstance(item, Object) and isinstance(item.get("name"), str) for item in params):
        return params
    if all(set(item) == {"name", "value"} for item in params):
        named: dict[str, Any] = {item["name"]: item["value"] for item in params}
    elif "params_schema" in root and all(set(map(_default, item)) == {"name", "default"} for item in params):
        named = {item["name"]: next(item[key] for key in item if _default(key) == "default") for item in params}
    else:
        named = {
            item["name"]: Object({_default(key): value for key, value in item.items() if key != "name"})
            for item in params
        }
    draft.put(root, "params", named, "Params are an object.")
    return root["params"]


def _default(key: str) -> str:
    return "default" if key == "value" else key


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
