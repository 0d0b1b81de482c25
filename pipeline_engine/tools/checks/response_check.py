"""Validates `response` and `polling` of an HTTP tool for registration."""

from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.errors import Repair, Violation
from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.times import parse_duration
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.language.findings import nearest
from pipeline_engine.tools.checks.headers import HEADER_NAME
from pipeline_engine.tools.checks.url_check import url_problem
from pipeline_engine.tools.response_rule import STATUSES, statuses_of

MAX_STATUSES = 32
MAX_HEADERS = 32
MAX_HOSTS = 16
MIN_INTERVAL, MAX_INTERVAL = 0.1, 3600.0
MAX_POLLING_SECONDS = 7 * 86_400.0
ROOTS = ("status", "headers", "body")
"""The root names of a condition on a response."""


def response_violations(http: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields every reason why the `response` of a transport cannot be registered."""
    response = http.get("response")
    if response is None:
        return
    if not isinstance(response, dict):
        yield _violation("response", f"must be an object, not {kind_of(response)}")
        return
    success = response.get("success") or []
    yield from _count("response.success", success, MAX_STATUSES, "statuses")
    for number, text in enumerate(success):
        if not isinstance(text, str) or not STATUSES.fullmatch(text) or not statuses_of(text):
            message = f"must be statuses from 200 to 599, such as `404`, `2xx` or `200-204` (got {quoted(text)})"
            yield _violation(f"response.success[{number}]", message)
    headers = response.get("headers") or []
    yield from _count("response.headers", headers, MAX_HEADERS, "headers")
    for number, name in enumerate(headers):
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            yield _violation(f"response.headers[{number}]", f"must be the name of a header (got {quoted(name)})")
    if headers and not response.get("envelope"):
        operation = {"op": "add", "path": "/http/response/envelope", "value": True}
        message = "headers are part of the output only if `envelope` is true"
        yield _violation("response.headers", message, Repair("Sets `envelope`.", [operation]))


def polling_violations(http: Mapping[str, Any]) -> Iterator[Violation]:
    """Yields every reason why the `polling` of a transport cannot be registered."""
    polling = http.get("polling")
    if polling is None:
        return
    if not isinstance(polling, dict):
        yield _violation("polling", f"must be an object, not {kind_of(polling)}")
        return
    yield from _duration("polling.interval", polling.get("interval"), MIN_INTERVAL, MAX_INTERVAL, "100 ms to 1 h")
    yield from _duration("polling.timeout", polling.get("timeout"), MIN_INTERVAL, MAX_POLLING_SECONDS, "100 ms to 7 d")
    hosts = polling.get("hosts") or []
    yield from _count("polling.hosts", hosts, MAX_HOSTS, "hosts")
    for number, host in enumerate(hosts):
        if (problem := _host_problem(host)) is not None:
            yield _violation(f"polling.hosts[{number}]", problem)
    for key in ("done", "failed"):
        yield from _condition(f"polling.{key}", polling.get(key))


def _host_problem(host: Any) -> str | None:
    form = "must be a host, with a port unless it is the default one, such as `jobs.example.com`"
    if not isinstance(host, str) or not host or set(host) & set("/?#@{}* "):
        return f"{form} (got {quoted(host)})"
    return url_problem(f"https://{host}/")


def _condition(field: str, text: Any) -> Iterator[Violation]:
    if not text:
        return
    try:
        expression = compile_expression(text)
    except ExpressionError as error:
        yield _violation(field, error.message)
        return
    for name in sorted({str(path[0]) for path in expression.references} - set(ROOTS)):
        message = f"`{name}` is not known here: a condition on a response reads {', '.join(ROOTS)}"
        guess = nearest(name, ROOTS)
        yield _violation(field, f"{message}; did you mean `{guess}`?" if guess else message)


def _duration(field: str, text: Any, least: float, most: float, expected: str) -> Iterator[Violation]:
    if text is None:
        return
    span = parse_duration(text) if isinstance(text, str) else None
    if span is None or not least <= span.total_seconds() <= most:
        yield _violation(field, f"must be a duration from {expected} (got {quoted(text)})")


def _count(field: str, items: Any, limit: int, noun: str) -> Iterator[Violation]:
    if not isinstance(items, list) or len(items) > limit:
        count = len(items) if isinstance(items, list) else kind_of(items)
        yield _violation(field, f"must be a list of at most {limit} {noun} (got {count})")


def _violation(field: str, message: str, repair: Repair | None = None) -> Violation:
    return Violation(f"http.{field}", message, ErrorReason.INVALID_TRANSPORT, repair)
