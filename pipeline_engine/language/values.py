"""The values of modifiers: durations, retries, names. Each reader reports a problem and returns None."""

import math
import re
from collections.abc import Mapping
from typing import Any

from ordinaut.documents.misspelled import misspelled
from ordinaut.expressions.times import parse_duration
from ordinaut.limits import MAX_RETRIES
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.data.failure import (
    CANCELLED,
    DEADLINE,
    FAN_OUT_LIMIT,
    LOST_TOO_OFTEN,
    OUTCOME_UNKNOWN,
    REJECTED,
    TIMEOUT,
    TOOL_ERROR,
    TOOL_UNAVAILABLE,
)
from pipeline_engine.language.document import DEFAULT_JITTER, RetryRule, format_seconds
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.keys import refuse_unknown_keys

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
MAX_TIMEOUT_SECONDS = 86_400.0
MAX_DELAY_SECONDS = 7 * 86_400.0
MIN_DEADLINE_SECONDS = 1.0
MAX_DEADLINE_SECONDS = 366 * 86_400.0
MAX_FACTOR = 10.0
RETRY_KEYS = ("max", "delay", "factor", "max_delay", "jitter", "codes")
RESERVED = frozenset({"on_error", "finally"})
"""Names that begin the paths of the steps in these keys of a document."""
NEVER_RETRIED = {
    REJECTED: "a person has decided",
    OUTCOME_UNKNOWN: "the call may have happened",
    FAN_OUT_LIMIT: "it is an error of a loop, and `retry` applies to each call",
    CANCELLED: "the step was cut off",
    LOST_TOO_OFTEN: "it ends the run",
    DEADLINE: "it ends the run",
}
"""Codes that no retry rule of a step applies to, with the reason."""
KNOWN_CODES = (TOOL_UNAVAILABLE, TIMEOUT, TOOL_ERROR)
DURATION_EXPECTED = "must be a duration such as `90s`, `5m`, `1h30m`, `7d` or `PT1H`"


def is_number(value: Any) -> bool:
    """Whether the value is a JSON number (in Python a boolean is an int)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_seconds(value: Any, place: Place, findings: Findings, bound: float = MAX_TIMEOUT_SECONDS) -> float | None:
    """Reads a duration such as `90s`, greater than 0 and at most `bound` seconds."""
    if is_number(value) and 0 < value <= bound:
        findings.problem(
            place,
            f"a duration must have a unit, for example `{format_seconds(value)}` (got {value:g})",
            fix=("Adds the unit, seconds.", [place.replace(format_seconds(value))]),
        )
        return None
    span = parse_duration(value.strip()) if isinstance(value, str) else None
    if span is None:
        findings.problem(place, f"{DURATION_EXPECTED} (got {quoted(value)})")
        return None
    if not 0 < span.total_seconds() <= bound:
        message = f"the duration must be greater than 0 and at most {format_seconds(bound)} (got {quoted(value)})"
        findings.problem(place, message)
        return None
    return span.total_seconds()


def read_deadline(value: Any, place: Place, findings: Findings) -> float | None:
    """Reads the `deadline` of a document: a duration from 1 s to 366 days."""
    seconds = read_seconds(value, place, findings, math.inf)
    if seconds is None or MIN_DEADLINE_SECONDS <= seconds <= MAX_DEADLINE_SECONDS:
        return seconds
    nearest_limit = "1s" if seconds < MIN_DEADLINE_SECONDS else "366d"
    fix = (f"Sets {nearest_limit}.", [place.replace(nearest_limit)])
    findings.problem(place, f"`deadline` must be from 1s to 366d (got {quoted(value)})", fix=fix)
    return None


def read_integer(value: Any, low: int, high: int, place: Place, findings: Findings) -> int | None:
    """Reads an integer from `low` to `high`; 3.0 is accepted as 3, because a protobuf Struct has only doubles."""
    if is_number(value) and value == int(value) and low <= value <= high:
        return int(value)
    fix = None
    if isinstance(value, str) and value.strip().isdecimal() and low <= int(value[:9]) <= high:
        fix = ("Removes the quotes.", [place.replace(int(value))])
    findings.problem(place, f"must be an integer from {low} to {high} (got {quoted(value)})", fix=fix)
    return None


def read_retry(value: Any, place: Place, findings: Findings) -> RetryRule | None:
    """Reads a number of retries, or `{max, delay, factor, max_delay, jitter, codes}`."""
    if not isinstance(value, dict):
        count = read_integer(value, 0, MAX_RETRIES, place, findings)
        return None if count is None else RetryRule(count)
    refuse_unknown_keys(value, RETRY_KEYS, {"retries": "max", "count": "max", "backoff": "factor"}, place, findings)
    fields: dict[str, Any] = {}
    if "max" in value:
        fields["max"] = read_integer(value["max"], 0, MAX_RETRIES, place.key("max"), findings)
    for key in ("delay", "max_delay"):
        if key in value:
            fields[key] = read_seconds(value[key], place.key(key), findings, MAX_DELAY_SECONDS)
    if "factor" in value:
        fields["factor"] = _factor(value["factor"], place.key("factor"), findings)
    if "jitter" in value:
        fields["jitter"] = _jitter(value["jitter"], place.key("jitter"), findings)
    if "codes" in value:
        fields["codes"] = _codes(value["codes"], place.key("codes"), findings)
    return RetryRule(**{"max": 2, **{key: item for key, item in fields.items() if item is not None}})


def _factor(value: Any, place: Place, findings: Findings) -> float | None:
    if is_number(value) and 1 <= value <= MAX_FACTOR:
        return float(value)
    findings.problem(place, f"`factor` must be a number from 1 to {MAX_FACTOR:g} (got {quoted(value)})")
    return None


def _jitter(value: Any, place: Place, findings: Findings) -> float | None:
    if is_number(value) and 0 <= value <= 1:
        return float(value)
    fix = ("Sets the default.", [place.replace(DEFAULT_JITTER)]) if value is True else None
    fix = ("Sets 0, which disables jitter.", [place.replace(0)]) if value is False else fix
    findings.problem(place, f"`jitter` must be a number from 0 to 1 (got {quoted(value)})", fix=fix)
    return None


def _codes(value: Any, place: Place, findings: Findings) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > 50:
        findings.problem(place, f"`codes` must be a list of at most 50 error codes (got {quoted(value)})")
        return None
    for index, code in enumerate(value):
        if not isinstance(code, str) or not ERROR_CODE.fullmatch(code):
            near = misspelled(code, KNOWN_CODES) if isinstance(code, str) else None
            fix = (f"Replaces it by {near}.", [place.item(index).replace(near)]) if near else None
            message = f"must be an error code such as TOOL_UNAVAILABLE (got {quoted(code)})"
            findings.problem(place.item(index), message, fix=fix)
        elif code in NEVER_RETRIED:
            fix = ("Removes it.", [place.item(index).remove()])
            findings.warn(place.item(index), f"{code} is never retried: {NEVER_RETRIED[code]}", fix)
    return tuple(code for code in value if isinstance(code, str))


def read_name(value: Any, place: Place, findings: Findings, fallback: str) -> str | None:
    """Reads a step's id or `save_as`: `[a-z][a-z0-9_]{0,62}`, not `on_error` or `finally`."""
    reserved = isinstance(value, str) and value in RESERVED
    if isinstance(value, str) and IDENTIFIER.fullmatch(value) and not reserved:
        return value
    suggestion = suggested_name(value if isinstance(value, str) else "") or fallback
    findings.problem(
        place,
        f"must be 1 to 63 lower-case letters, digits and `_`, and begin with a letter (got {quoted(value)})"
        if not reserved
        else f"`{value}` is reserved for the step paths of `{value}`",
        fix=(f"Replaces it by `{suggestion}`.", [place.replace(suggestion)]),
    )
    return None


def suggested_name(text: str) -> str:
    """Turns a text into a valid name; empty when it contains no usable character.

    >>> suggested_name("Send the e-mail"), suggested_name("fetchData"), suggested_name("42")
    ('send_the_e_mail', 'fetch_data', '')
    """
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:200]).lower()).strip("_")
    name = re.sub(r"^[0-9_]+", "", words)[:60].strip("_")
    return f"{name}_step" if name in RESERVED else name


def read_text(value: Any, limit: int, place: Place, findings: Findings) -> str | None:
    """Reads a string of at most `limit` characters."""
    if isinstance(value, str) and len(value) <= limit:
        return value
    message = f"must be a string of at most {limit} characters (got {quoted(value)})"
    findings.problem(place, message, ErrorReason.INVALID_PIPELINE)
    return None


def read_timeout(
    value: Mapping[str, Any],
    place: Place,
    findings: Findings,
    bound: float = MAX_TIMEOUT_SECONDS,
    bound_of_seconds: float | None = None,
) -> float | None:
    """Reads the `timeout` of a step or document, or its `timeout_seconds`; None when both are absent.

    Each is at most `bound` seconds, unless `timeout_seconds` has another bound.
    """
    seconds: Any = value.get("timeout_seconds")
    of_seconds = bound_of_seconds or bound
    if "timeout_seconds" in value and not (is_number(seconds) and 0 < seconds <= of_seconds):
        expected = f"must be a number greater than 0 and at most {of_seconds:g}"
        message = f"`timeout_seconds` {expected} (got {quoted(seconds)})"
        findings.problem(place.key("timeout_seconds"), message)
        seconds = None
    if "timeout" in value:
        return read_seconds(value["timeout"], place.key("timeout"), findings, bound)
    return None if seconds is None else float(seconds)
