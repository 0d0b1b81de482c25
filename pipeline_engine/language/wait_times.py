"""The literal times of `orchestrator.wait`, checked before any run reads them."""

from datetime import datetime
from typing import Any

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_duration, parse_timestamp
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.findings import Findings, Place


def check_wait(value: Any, place: Place, findings: Findings) -> None:
    """Notes a duration or a moment that cannot be read; what holds a template is seen when the step runs."""
    if not isinstance(value, dict):
        return
    span, moment = value.get("for"), value.get("until")
    if isinstance(span, str) and "${" not in span and parse_duration(span.strip()) is None:
        where = place.key("for")
        seconds = f"{span.strip()}s"
        fix = ("Adds the unit, seconds.", [where.replace(seconds)]) if parse_duration(seconds) else None
        findings.problem(
            where, "a duration such as `90s`, `5m` or `7d` is expected", ErrorReason.TOOL_INPUT_INVALID, fix
        )
    if isinstance(moment, str) and "${" not in moment and read_moment(moment) is None:
        findings.problem(
            place.key("until"),
            "an RFC 3339 time with an offset is expected, such as 2026-12-24T18:00:00+01:00",
            ErrorReason.TOOL_INPUT_INVALID,
        )


def read_moment(text: str) -> datetime | None:
    """An RFC 3339 moment; None when it is none."""
    try:
        return parse_timestamp(text)
    except ExpressionError:
        return None
