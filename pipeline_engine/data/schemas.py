"""JSON Schema, drafts 4 to 2020-12: checks of registered schemas, and of values against them.

Patterns are those of a linear-time engine: lookaround and backreferences are refused, because a backtracking engine
would let one pattern stop the process. Remote references are never fetched.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from ordinaut.limits import EXACT_INTEGER
from pipeline_engine.data.schema_cost import CostError, cost_per_byte
from pipeline_engine.data.schema_dialects import (
    VALIDATORS,
    Node,
    compile_validator,
    dialect_of,
    escaped,
    is_checked_format,
    subschemas,
    walk,
)

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_NODES = 5_000
MAX_SCHEMA_DEPTH = 32
REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
MAX_PROBLEMS = 50
MAX_WARNINGS = 20
Problem = tuple[str, str]
"""RFC 6901 pointer and message."""
COSTLY_UNITS = 50_000
"""Units of work, as in `schema_cost`, from which a check may take longer than about 20 ms."""


@dataclass(frozen=True, slots=True)
class Check:
    """A compiled schema. `first_problem` returns the first problem of a value; `cost` is its bound for each byte."""

    schema: Any
    first_problem: Callable[[Any], Problem | None]
    cost: int

    def is_costly(self, size: int) -> bool:
        """Whether the check of a value of that many bytes belongs into another process."""
        return self.cost * size > COSTLY_UNITS


def _refuse_fetching(uri: str) -> Any:
    raise ValueError(f"{uri} is not part of the schema")


def compile_schema(schema: Any, *, is_trusted: bool = False) -> Check | None:
    """Compiles a check; None when the schema accepts every value. The check of a trusted schema is never costly.

    Raises:
        ValueError: the schema cannot be used.
    """
    if accepts_everything(schema):
        return None
    validator = _validator(schema)
    is_valid, iter_errors = validator.is_valid, validator.iter_errors

    def first_problem(value: Any) -> Problem | None:
        if is_valid(value):
            return None
        return next(_problems(iter_errors(value)), ("", "does not match the schema"))

    return Check(schema, first_problem, 0 if is_trusted else cost_per_byte(schema))


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


_ANNOTATIONS = frozenset(
    {"$schema", "$id", "id", "$comment", "title", "description", "examples", "default", "$defs", "definitions"}
)


def _validator(schema: Any) -> Any:
    return compile_validator(
        schema,
        retriever=_refuse_fetching,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=1024 * 1024),
    )


def _problems(errors: Iterator[jsonschema_rs.ValidationError]) -> Iterator[Problem]:
    for error in errors:
        yield pointer(error.instance_path), error.message[:500]


def pointer(path: list[str | int]) -> str:
    """Returns an RFC 6901 pointer: `/a/0/b`."""
    return "".join(f"/{escaped(part)}" for part in path)


def schema_problems(schema: Any) -> list[Problem]:
    """Returns every reason why a schema cannot be registered, with pointers into it."""
    if isinstance(schema, bool):
        return []
    if not isinstance(schema, dict):
        return [("", "a schema must be an object or a boolean")]
    problems = list(_bounds(schema)) or [*_dialects(schema), *_references(schema)]
    if problems:
        return problems
    return list(_compilation(schema))


def _compilation(schema: dict[str, Any]) -> Iterator[Problem]:
    """Yields the reason why a schema is too costly or cannot be compiled, if any."""
    try:
        cost_per_byte(schema)
        _validator(schema)
    except CostError as error:
        yield error.pointer, str(error)
    except jsonschema_rs.ValidationError as error:
        yield pointer(error.instance_path), _defect(error)
    except ValueError as error:
        yield "", str(error).splitlines()[0][:500] if str(error) else "the schema cannot be compiled"


def _defect(error: jsonschema_rs.ValidationError) -> str:
    if not error.message.endswith('is not a "regex"'):
        return error.message[:500]
    supported = "a regular expression without lookaround and backreferences, at most 1 MiB when compiled"
    return f"a pattern must be {supported} (got {str(error.instance)[:200]!r})"


def schema_warnings(schema: Any) -> list[Problem]:
    """Returns what is accepted in a valid schema and probably not intended, at most 20 findings."""
    return list(islice(_warnings(schema), MAX_WARNINGS))


def _warnings(schema: Any) -> Iterator[Problem]:
    dialect = dialect_of(schema)
    for where, node in subschemas(schema):
        name = node.get("format")
        if isinstance(name, str) and not is_checked_format(dialect, name):
            yield f"{where}/format", f"the format {name[:50]!r} is not checked"
    for where, number in walk(schema):
        if type(number) in {int, float} and abs(number) >= EXACT_INTEGER and number == int(number):
            yield where, f"numbers from 2^53 on are stored as doubles and may have been rounded (is {number:.17g})"


def _bounds(schema: dict[str, Any]) -> Iterator[Problem]:
    try:
        size = len(orjson.dumps(schema))
    except TypeError as failure:
        yield "", f"the schema is not JSON: {failure}"
        return
    if size > MAX_SCHEMA_BYTES:
        yield "", f"a schema must be at most {MAX_SCHEMA_BYTES} bytes (got {size})"
        return
    nodes: list[Node] = list(walk(schema))
    if len(nodes) > MAX_SCHEMA_NODES:
        yield "", f"a schema must have at most {MAX_SCHEMA_NODES} values (got {len(nodes)})"
    too_deep = next((where for where, _ in nodes if where.count("/") > MAX_SCHEMA_DEPTH), None)
    if too_deep is not None:
        yield too_deep, f"a schema must be nested at most {MAX_SCHEMA_DEPTH} levels deep"


def _dialects(schema: dict[str, Any]) -> Iterator[Problem]:
    """All parts of a schema have one dialect: `$schema` below the root may only repeat it."""
    dialect = dialect_of(schema)
    if dialect not in VALIDATORS:
        yield "/$schema", f"the dialect must be one of {', '.join(VALIDATORS)} (got {dialect[:200]!r})"
        return
    for where, node in subschemas(schema):
        if isinstance(node.get("$schema"), str) and dialect_of(node) != dialect:
            yield (
                f"{where}/$schema",
                f"must be the dialect of the whole schema, {dialect} (got {node['$schema'][:200]!r})",
            )


def _references(schema: dict[str, Any]) -> Iterator[Problem]:
    for where, node in subschemas(schema):
        for key in REFERENCES & node.keys():
            if isinstance(node[key], str) and not node[key].startswith("#"):
                yield f"{where}/{key}", f"{key} must point into the same schema (`#/$defs/…`), got {node[key][:200]!r}"


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
