"""The dialects of JSON Schema, drafts 4 to 2020-12, and the parts of a schema that are schemas themselves."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

DEFAULT = "https://json-schema.org/draft/2020-12/schema"
VALIDATORS: Mapping[str, Callable[..., Any]] = {
    "http://json-schema.org/draft-04/schema": jsonschema_rs.Draft4Validator,
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    DEFAULT: jsonschema_rs.Draft202012Validator,
}
APPLICATORS = frozenset(
    {
        *("items", "additionalItems", "prefixItems", "contains", "unevaluatedItems", "contentSchema"),
        *("additionalProperties", "unevaluatedProperties", "propertyNames"),
        *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    }
)
"""Keywords with a schema or a list of schemas. The values of all others, such as `default`, `enum` and `x-source`, are
data: a `$ref` in them is not a reference."""
BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords with an object of schemas by name; a name such as `default` is not a keyword there."""
Node = tuple[str, Any]
"""RFC 6901 pointer and value."""


def dialect_of(schema: Any) -> str:
    """Returns the dialect that a schema names in `$schema`, in its canonical spelling; 2020-12 by default.

    >>> dialect_of({"$schema": "https://json-schema.org/draft-07/schema#"})
    'http://json-schema.org/draft-07/schema'
    """
    uri = schema.get("$schema", DEFAULT) if isinstance(schema, dict) else DEFAULT
    path = str(uri).rstrip("#").partition("://")[2]
    return next((known for known in VALIDATORS if known.partition("://")[2] == path), str(uri))


def compile_validator(schema: Any, **options: Any) -> Any:
    """Compiles a schema in its dialect; `format` is checked in every dialect.

    Raises:
        ValueError: the schema is invalid, or its dialect is unknown.
    """
    dialect = dialect_of(schema)
    if dialect not in VALIDATORS:
        raise ValueError(f"unknown dialect {dialect[:200]!r}")
    return VALIDATORS[dialect](schema, validate_formats=True, **options)


@lru_cache(maxsize=256)
def is_checked_format(dialect: str, name: str) -> bool:
    """Whether values are checked for this `format`; others are ignored, as the specification demands."""
    try:
        VALIDATORS[dialect]({"format": name}, validate_formats=True, ignore_unknown_formats=False)
    except ValueError:
        return False
    return True


def walk(value: Any, where: str = "") -> Iterator[Node]:
    """Yields a JSON value and every value in it, without recursion."""
    stack = [(where, value)]
    while stack:
        where, node = stack.pop()
        yield where, node
        stack.extend((f"{where}/{escaped(key)}", item) for key, item in _items(node))


def subschemas(schema: Any) -> Iterator[Node]:
    """Yields the objects in a schema that are schemas.

    >>> [where for where, _ in subschemas({"items": [{}], "default": {}, "properties": {"default": {}}})]
    ['', '/properties/default', '/items/0']
    """
    stack: list[tuple[str, Any, bool]] = [("", schema, False)]
    while stack:
        where, node, by_name = stack.pop()
        is_schema = isinstance(node, dict) and not by_name
        if is_schema:
            yield where, node
        for key, item in _items(node):
            if not is_schema or key in APPLICATORS or key in BY_NAME:
                stack.append((f"{where}/{escaped(key)}", item, is_schema and key in BY_NAME))


def _items(node: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(node, dict):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def escaped(key: str | int) -> str:
    """Returns a key as one part of an RFC 6901 pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")
