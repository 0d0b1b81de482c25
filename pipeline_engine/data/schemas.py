"""JSON Schema 2020-12: a thorough check of each registered schema, a fast check of values.

The two use different libraries: jsonschema reports every defect of a schema with a pointer; jsonschema_rs is compiled
and validates values on the path of every call. Remote references are never fetched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson
from jsonschema import Draft202012Validator, SchemaError

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_NODES = 5_000
MAX_SCHEMA_DEPTH = 32
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFERENCES = frozenset({"$ref", "$dynamicRef"})
MAX_PROBLEMS = 50
Problem = tuple[str, str]
"""RFC 6901 pointer and message."""
Check = Callable[[Any], Problem | None]


def _refuse_fetching(uri: str) -> Any:
    raise ValueError(f"{uri} is not part of the schema")


def compile_schema(schema: Any) -> Check | None:
    """Compiles a check that returns the first problem of a value; None when the schema accepts every value.

    Raises:
        ValueError: the schema cannot be used.
    """
    if accepts_everything(schema):
        return None
    validator = _validator(schema)
    is_valid, iter_errors = validator.is_valid, validator.iter_errors

    def check(value: Any) -> Problem | None:
        if is_valid(value):
            return None
        return next(_problems(iter_errors(value)), ("", "does not match the schema"))

    return check


@dataclass(frozen=True, slots=True)
class Error:
    """One problem of a value: the keys that lead to it, the failing keyword and that keyword's value."""

    path: tuple[str | int, ...]
    keyword: str
    expected: Any
    message: str


def errors_of(schema: Any, value: Any) -> list[Error]:
    """Returns the problems of a value, at most 50, with the information that a repair needs.

    Raises:
        ValueError: the schema cannot be used.
    """
    return [_error(schema, error) for error in islice(_validator(schema).iter_errors(value), MAX_PROBLEMS)]


def _error(schema: Any, error: jsonschema_rs.ValidationError) -> Error:
    expected = schema
    for key in error.schema_path:
        reachable = isinstance(expected, dict) and key in expected
        if not reachable and not (isinstance(expected, list) and isinstance(key, int)):
            expected = None
            break
        expected = expected[key]
    keyword = str(error.schema_path[-1]) if error.schema_path else ""
    return Error(tuple(error.instance_path), keyword, expected, error.message[:500])


def problems_of(schema: Any, value: Any) -> list[Problem]:
    """Returns the problems of a value, at most 50.

    Raises:
        ValueError: the schema cannot be used.
    """
    return list(islice(_problems(_validator(schema).iter_errors(value)), MAX_PROBLEMS))


def accepts_everything(schema: Any) -> bool:
    """Whether the schema contains only annotations."""
    return schema is None or schema is True or (isinstance(schema, dict) and not set(schema) - _ANNOTATIONS)


def requires_only_object(schema: Any) -> bool:
    """Whether the schema only requires an object, which rendering guarantees."""
    return isinstance(schema, dict) and schema.get("type") == "object" and not set(schema) - _ANNOTATIONS - {"type"}


_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "examples", "default", "$defs"})


def _validator(schema: Any) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema,
        retriever=_refuse_fetching,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=1024 * 1024),
    )


def _problems(errors: Iterator[jsonschema_rs.ValidationError]) -> Iterator[Problem]:
    for error in errors:
        yield pointer(error.instance_path), error.message[:500]


def pointer(path: list[str | int]) -> str:
    """Returns an RFC 6901 pointer: `/a/0/b`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def schema_problems(schema: Any) -> list[Problem]:
    """Returns every reason why a schema cannot be registered, with pointers into it."""
    if isinstance(schema, bool):
        return []
    if not isinstance(schema, dict):
        return [("", "a schema must be an object or a boolean")]
    problems = list(_bounds(schema)) or list(_references(schema))
    if problems:
        return problems
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [(pointer(list(error.absolute_path)), error.message[:500])]
    try:
        _validator(schema)
    except ValueError as error:
        return [("", str(error).splitlines()[0][:500] if str(error) else "the schema cannot be compiled")]
    return []


def _bounds(schema: dict[str, Any]) -> Iterator[Problem]:
    try:
        size = len(orjson.dumps(schema))
    except TypeError as failure:
        yield "", f"the schema is not JSON: {failure}"
        return
    if size > MAX_SCHEMA_BYTES:
        yield "", f"a schema must be at most {MAX_SCHEMA_BYTES} bytes (got {size})"
        return
    nodes = list(_walk(schema))
    if len(nodes) > MAX_SCHEMA_NODES:
        yield "", f"a schema must have at most {MAX_SCHEMA_NODES} values (got {len(nodes)})"
    too_deep = next((where for where, _ in nodes if where.count("/") > MAX_SCHEMA_DEPTH), None)
    if too_deep is not None:
        yield too_deep, f"a schema must be nested at most {MAX_SCHEMA_DEPTH} levels deep"


def _walk(schema: Any) -> Iterator[tuple[str, Any]]:
    stack: list[tuple[str, Any]] = [("", schema)]
    while stack:
        where, node = stack.pop()
        yield where, node
        if isinstance(node, dict):
            stack.extend((where + pointer([key]), value) for key, value in node.items())
        elif isinstance(node, list):
            stack.extend((where + pointer([place]), value) for place, value in enumerate(node))


def _references(schema: dict[str, Any]) -> Iterator[Problem]:
    for where, node in _walk(schema):
        if not isinstance(node, dict):
            continue
        for key in REFERENCES & node.keys():
            if isinstance(node[key], str) and not node[key].startswith("#"):
                yield f"{where}/{key}", f"{key} must point into the same schema (`#/$defs/…`), got {node[key][:200]!r}"
        dialect = node.get("$schema", DIALECT)
        if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
            yield f"{where}/$schema", f"the dialect must be {DIALECT} (got {dialect[:200]!r})"


def member_at(schema: Any, where: str) -> Any:
    """Returns the part of a schema at an RFC 6901 pointer; True, which accepts everything, if there is none."""
    for word in where.split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, dict) and key in schema:
            schema = schema[key]
        elif isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            return True
    return True if where and not where.startswith("/") else schema
