"""The values of modifiers: durations, retries, names. Each reader notes a problem and goes on."""

import re
from collections.abc import Mapping
from typing import Any

from ordinaut.expressions.times import parse_duration
from ordinaut.limits import MAX_RETRIES
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.failure import TIMEOUT, TOOL_ERROR, TOOL_UNAVAILABLE
from pipeline_engine.language.document import DEFAULT_JITTER, RetryRule, written_seconds
from pipeline_engine.language.findings import Findings, Place, nearest
from pipeline_engine.language.keys import refuse_unknown_keys

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,62}")
MAX_TIMEOUT_SECONDS = 86_400.0
MAX_DELAY_SECONDS = 7 * 86_400.0
MAX_FACTOR = 10.0
RETRY_KEYS = ("max", "delay", "factor", "max_delay", "jitter", "codes")
KNOWN_CODES = (TOOL_UNAVAILABLE, TIMEOUT, TOOL_ERROR)


def is_number(value: Any) -> bool:
    """Whether it is a JSON number (a boolean is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_seconds(value: Any, place: Place, findings: Findings, bound: float = MAX_TIMEOUT_SECONDS) -> float | None:
    """A duration such as `90s` in seconds, greater than 0 and at most `bound`."""
    if is_number(value) and 0 < value <= bound:
        findings.problem(
            place,
            f"a duration has a unit: `{written_seconds(value)}`",
            fix=("Adds the unit, seconds.", [place.replace(written_seconds(value))]),
        )
        return None
    span = parse_duration(value.strip()) if isinstance(value, str) else None
    if span is None:
        findings.problem(place, "a duration such as `90s`, `5m`, `1h30m`, `7d` or `PT1H` is expected")
        return None
    if not 0 < span.total_seconds() <= bound:
        findings.problem(place, f"the duration must be greater than 0 and at most {written_seconds(bound)}")
        return None
    return span.total_seconds()


def read_whole(value: Any, low: int, high: int, place: Place, findings: Findings) -> int | None:
    """A whole number from `low` to `high`; 3.0 counts as 3, because protobuf's JSON knows only doubles."""
    if is_number(value) and value == int(value) and low <= value <= high:
        return int(value)
    fix = None
    if isinstance(value, str) and value.strip().isdecimal() and low <= int(value[:9]) <= high:
        fix = ("Writes the number without quotes.", [place.replace(int(value))])
    findings.problem(place, f"a whole number from {low} to {high} is expected", fix=fix)
    return None


def read_retry(value: Any, place: Place, findings: Findings) -> RetryRule | None:
    """A count, or `{max, delay, factor, max_delay, jitter, codes}`."""
    if not isinstance(value, dict):
        count = read_whole(value, 0, MAX_RETRIES, place, findings)
        return None if count is None else RetryRule(count)
    refuse_unknown_keys(value, RETRY_KEYS, {"retries": "max", "count": "max", "backoff": "factor"}, place, findings)
    known: dict[str, Any] = {}
    if "max" in value:
        known["max"] = read_whole(value["max"], 0, MAX_RETRIES, place.key("max"), findings)
    for key in ("delay", "max_delay"):
        if key in value:
            known[key] = read_seconds(value[key], place.key(key), findings, MAX_DELAY_SECONDS)
    if "factor" in value:
        known["factor"] = _factor(value["factor"], place.key("factor"), findings)
    if "jitter" in value:
        known["jitter"] = _share(value["jitter"], place.key("jitter"), findings)
    if "codes" in value:
        known["codes"] = _codes(value["codes"], place.key("codes"), findings)
    return RetryRule(**{"max": 2, **{key: item for key, item in known.items() if item is not None}})


def _factor(value: Any, place: Place, findings: Findings) -> float | None:
    if is_number(value) and 1 <= value <= MAX_FACTOR:
        return float(value)
    findings.problem(place, f"a number from 1 to {MAX_FACTOR:g} is expected")
    return None


def _share(value: Any, place: Place, findings: Findings) -> float | None:
    if is_number(value) and 0 <= value <= 1:
        return float(value)
    fix = ("Writes the default.", [place.replace(DEFAULT_JITTER)]) if value is True else None
    fix = ("Writes 0: no jitter.", [place.replace(0)]) if value is False else fix
    findings.problem(place, "a number from 0 to 1 is expected", fix=fix)
    return None


def _codes(value: Any, place: Place, findings: Findings) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > 50:
        findings.problem(place, "a list of at most 50 error codes is expected")
        return None
    for index, code in enumerate(value):
        if not isinstance(code, str) or not ERROR_CODE.fullmatch(code):
            near = nearest(code, KNOWN_CODES) if isinstance(code, str) else None
            fix = (f"Writes {near}.", [place.item(index).replace(near)]) if near else None
            findings.problem(place.item(index), "an error code such as TOOL_UNAVAILABLE is expected", fix=fix)
    return tuple(code for code in value if isinstance(code, str))


def read_name(value: Any, place: Place, findings: Findings, fallback: str) -> str | None:
    """A step's id or `save_as`: `[a-z][a-z0-9_]{0,62}`, not `on_error`."""
    if isinstance(value, str) and IDENTIFIER.fullmatch(value) and value != "on_error":
        return value
    made = made_name(value if isinstance(value, str) else "") or fallback
    findings.problem(
        place,
        "a name of lower-case letters, digits and `_` that begins with a letter, at most 63 long, is expected"
        if value != "on_error"
        else "`on_error` is reserved for the paths of handlers",
        fix=(f"Writes `{made}`.", [place.replace(made)]),
    )
    return None


def made_name(text: str) -> str:
    """The valid name closest to a text; empty when nothing of it remains."""
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:200]).lower()).strip("_")
    name = re.sub(r"^[0-9_]+", "", words)[:60].strip("_")
    return f"{name}_step" if name == "on_error" else name


def read_text(value: Any, limit: int, place: Place, findings: Findings) -> str | None:
    """A text of at most `limit` characters."""
    if isinstance(value, str) and len(value) <= limit:
        return value
    findings.problem(place, f"a text of at most {limit} characters is expected", ErrorReason.INVALID_PIPELINE)
    return None


def read_timeout(
    value: Mapping[str, Any], place: Place, findings: Findings, bound: float = MAX_TIMEOUT_SECONDS
) -> float | None:
    """The `timeout` of a step or document, or its `timeout_seconds`; None where there is neither."""
    if "timeout" in value:
        return read_seconds(value["timeout"], place.key("timeout"), findings, bound)
    if "timeout_seconds" not in value:
        return None
    seconds = value["timeout_seconds"]
    if is_number(seconds) and 0 < seconds <= bound:
        return float(seconds)
    findings.problem(place.key("timeout_seconds"), f"a number greater than 0, at most {bound:g}, is expected")
    return None
