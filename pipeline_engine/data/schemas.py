"""JSON Schema 2020-12: thorough when a schema is registered, fast when a value is checked. Nothing is ever fetched."""

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
    """A check that gives the first problem of a value; None when every value fits the schema.

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
        return next(_problems(iter_errors(value)), ("", "does not fit the schema"))

    return check


@dataclass(frozen=True, slots=True)
class Error:
    """One problem of a value: the keys to it, the keyword that refuses it, and what that keyword says."""

    path: tuple[str | int, ...]
    keyword: str
    expected: Any
    message: str


def errors_of(schema: Any, value: Any) -> list[Error]:
    """Every problem of a value, at most 50, with what is needed to repair it.

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
    """Every problem of a value, at most 50.

    Raises:
        ValueError: the schema cannot be used.
    """
    return list(islice(_problems(_validator(schema).iter_errors(value)), MAX_PROBLEMS))


def accepts_everything(schema: Any) -> bool:
    """Whether the schema is without any condition."""
    return schema is None or schema is True or (isinstance(schema, dict) and not set(schema) - _ANNOTATIONS)


def only_an_object(schema: Any) -> bool:
    """Whether the schema asks for an object and nothing more: what rendering has made sure of."""
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
    """RFC 6901: `/a/0/b`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def schema_problems(schema: Any) -> list[Problem]:
    """Every reason why a schema cannot be registered, with pointers into it; empty when it can."""
    if isinstance(schema, bool):
        return []
    if not isinstance(schema, dict):
        return [("", "a schema is an object")]
    found = list(_bounds(schema)) or list(_references(schema))
    if found:
        return found
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [(pointer(list(error.absolute_path)), error.message[:500])]
    try:
        _validator(schema)
    except ValueError as error:
        return [("", str(error).splitlines()[0][:500] if str(error) else "the schema cannot be used")]
    return []


def _bounds(schema: dict[str, Any]) -> Iterator[Problem]:
    try:
        size = len(orjson.dumps(schema))
    except TypeError as failure:
        yield "", f"the schema is not JSON: {failure}"
        return
    if size > MAX_SCHEMA_BYTES:
        yield "", f"a schema has at most {MAX_SCHEMA_BYTES} bytes"
        return
    nodes = list(_walk(schema))
    if len(nodes) > MAX_SCHEMA_NODES:
        yield "", f"a schema has at most {MAX_SCHEMA_NODES} parts"
    deep = next((where for where, _ in nodes if where.count("/") > MAX_SCHEMA_DEPTH), None)
    if deep is not None:
        yield deep, f"a schema is nested at most {MAX_SCHEMA_DEPTH} levels deep"


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
                yield f"{where}/{key}", "a reference stays inside of the schema: `#/$defs/…`"
        dialect = node.get("$schema", DIALECT)
        if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
            yield f"{where}/$schema", f"the dialect is {DIALECT}"
