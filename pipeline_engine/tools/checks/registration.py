"""Validates a tool for registration: its name, schemas, timeouts and transport."""

from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.errors import Violation
from ordinaut.expressions.times import parse_duration
from ordinaut.names import DOTTED
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.data.schemas import schema_problems, schema_warnings
from pipeline_engine.tools.checks.auth_check import auth_violations
from pipeline_engine.tools.checks.headers import header_problem
from pipeline_engine.tools.checks.lookup_check import lookup_violations
from pipeline_engine.tools.checks.response_check import polling_violations, response_violations
from pipeline_engine.tools.checks.sensitive_check import sensitive_violations, sensitive_warnings
from pipeline_engine.tools.checks.url_check import url_problem
from pipeline_engine.tools.definition import BUILT_IN, CONTENT_TYPES, METHODS
from pipeline_engine.tools.url_template import placeholders

SCHEMAS = ("input_schema", "output_schema")
MAX_HEADERS = 32
MAX_TIMEOUT_SECONDS = 86_400.0


def tool_violations(value: Any, *, has_keys: bool = True) -> list[Violation]:
    """Returns every reason why a tool cannot be registered; `has_keys`: the engine can encrypt sensitive values."""
    if not isinstance(value, dict):
        return [Violation("", f"a tool must be an object, not {kind_of(value)}")]
    return [
        *_name(value),
        *_schemas(value),
        *_timeouts(value),
        *_transport(value),
        *lookup_violations(value),
        *_sensitive(value, has_keys=has_keys),
    ]


def _sensitive(value: Mapping[str, Any], *, has_keys: bool) -> Iterator[Violation]:
    invalid = any(value.get(key) is not None and schema_problems(value[key]) for key in SCHEMAS)
    without = {key: part for key, part in value.items() if key not in SCHEMAS} if invalid else value
    return sensitive_violations(without, has_keys=has_keys)


def tool_warnings(value: Mapping[str, Any]) -> list[str]:
    """Returns what is accepted in a valid tool and probably not intended."""
    findings = [
        f"{key}{where.replace('/', '.')}: {message}"
        for key in SCHEMAS
        for where, message in schema_warnings(value.get(key))
    ]
    schema = value.get("input_schema")
    required = schema.get("required", ()) if isinstance(schema, dict) else ()
    names = placeholders((value.get("http") or {}).get("url", ""))
    return [*findings, *sensitive_warnings(value)] + [
        f"http.url: `{{{name}}}` is not in `required` of input_schema, so a call without it fails"
        for name in names
        if name not in required
    ]


def _name(value: Mapping[str, Any]) -> Iterator[Violation]:
    name = value.get("name")
    if not isinstance(name, str) or not DOTTED.fullmatch(name):
        yield Violation(
            "name",
            "must be words of lower-case letters, digits, `_` and `-`, joined by dots, such as `weather.forecast` "
            f"(got {quoted(name)})",
            ErrorReason.NAME_INVALID,
        )
    elif name.startswith(BUILT_IN) and "orchestrator" not in value:
        message = f"names that begin with `{BUILT_IN}` are reserved for built-in tools"
        yield Violation("name", message, ErrorReason.RESERVED)


def _schemas(value: Mapping[str, Any]) -> Iterator[Violation]:
    for key in SCHEMAS:
        if value.get(key) is not None:
            for where, message in schema_problems(value[key]):
                yield Violation(key + where.replace("/", "."), message, ErrorReason.INVALID_SCHEMA)


def _timeouts(value: Mapping[str, Any]) -> Iterator[Violation]:
    timeouts = value.get("timeouts")
    run = timeouts.get("run") if isinstance(timeouts, dict) else None
    if run is None:
        return
    span = parse_duration(run) if isinstance(run, str) else None
    if span is None or not 0 < span.total_seconds() <= MAX_TIMEOUT_SECONDS:
        message = f"must be a duration greater than 0 and at most one day (got {quoted(run)})"
        yield Violation("timeouts.run", message)


def _transport(value: Mapping[str, Any]) -> Iterator[Violation]:
    http = value.get("http")
    if "orchestrator" in value and http is None:
        return
    if not isinstance(http, dict):
        yield Violation("http", "a tool must have the transport `http`", ErrorReason.FIELD_REQUIRED)
        return
    method = http.get("method") or "POST"
    if method not in METHODS:
        message = f"must be one of {', '.join(METHODS)} (got {quoted(method)})"
        yield Violation("http.method", message, ErrorReason.INVALID_TRANSPORT)
    content_type = http.get("content_type") or CONTENT_TYPES[0]
    if content_type not in CONTENT_TYPES:
        message = f"must be one of {', '.join(CONTENT_TYPES)} (got {quoted(content_type)})"
        yield Violation("http.content_type", message, ErrorReason.INVALID_TRANSPORT)
    problem = url_problem(http.get("url"))
    if problem:
        yield Violation("http.url", problem, ErrorReason.INVALID_TRANSPORT)
    yield from _headers(http.get("headers") or {})
    yield from auth_violations(http)
    yield from response_violations(http)
    yield from polling_violations(http)


def _headers(headers: Any) -> Iterator[Violation]:
    if not isinstance(headers, dict) or len(headers) > MAX_HEADERS:
        count = len(headers) if isinstance(headers, dict) else kind_of(headers)
        message = f"must be an object of at most {MAX_HEADERS} headers (got {count})"
        yield Violation("http.headers", message, ErrorReason.INVALID_TRANSPORT)
        return
    for name, text in headers.items():
        problem = header_problem(str(name), text)
        if problem:
            yield Violation(f"http.headers.{str(name)[:128]}", problem, ErrorReason.INVALID_TRANSPORT)
