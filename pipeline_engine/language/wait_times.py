"""Checks the literal times of `orchestrator.wait` before a run uses them."""

from datetime import datetime
from typing import Any

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_duration, parse_timestamp
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.language.findings import Findings, Place


def check_wait(value: Any, place: Place, findings: Findings) -> None:
    """Reports a literal duration or time that cannot be parsed; templates are checked when the step runs."""
    if not isinstance(value, dict):
        return
    span, until = value.get("for"), value.get("until")
    if isinstance(span, str) and "${" not in span and parse_duration(span.strip()) is None:
        where = place.key("for")
        seconds = f"{span.strip()}s"
        fix = ("Adds the unit, seconds.", [where.replace(seconds)]) if parse_duration(seconds) else None
        message = f"`for` must be a duration such as `90s`, `5m` or `7d` (got {quoted(span)})"
        findings.problem(where, message, ErrorReason.TOOL_INPUT_INVALID, fix)
    if isinstance(until, str) and "${" not in until and read_instant(until) is None:
        findings.problem(
            place.key("until"),
            f"`until` must be an RFC 3339 time with an offset, such as 2026-12-24T18:00:00+01:00 (got {quoted(until)})",
            ErrorReason.TOOL_INPUT_INVALID,
        )


def read_instant(text: str) -> datetime | None:
    """Parses an RFC 3339 time; None when it is invalid."""
    try:
        return parse_timestamp(text)
    except ExpressionError:
        return None
