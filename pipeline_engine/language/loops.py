"""The modifiers that repeat a step: `foreach` with `max_parallel` and `tolerate`, `until` with `every`."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.language.document import MAX_ITEMS, MAX_PARALLEL, MAX_ROUNDS, Rounds, Tolerance, format_seconds
from pipeline_engine.language.findings import Findings, Operation, Place
from pipeline_engine.language.keys import has_alias_of
from pipeline_engine.language.values import (
    MAX_DELAY_SECONDS,
    MAX_TIMEOUT_SECONDS,
    is_number,
    read_integer,
    read_seconds,
    read_timeout,
)

MIN_EVERY_SECONDS = 0.1
MAX_ROUNDS_TIMEOUT_SECONDS = 30 * 86_400.0
DEFAULT_EVERY = "10s"
PERCENT = re.compile(r"(100(?:\.0{1,2})?|[0-9]{1,2}(?:\.[0-9]{1,2})?)%")
TOLERATE_EXPECTED = f"`tolerate` must be an integer from 0 to {MAX_ITEMS}, or a percentage from 0% to 100% such as `5%`"
DEPENDENTS = {"max_parallel": "foreach", "tolerate": "foreach", "every": "until", "max_rounds": "until"}
"""Keys that apply only to a step with another key."""


def refuse_without_loop(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Reports modifiers of a loop on a step that is not repeated."""
    for key, loop in DEPENDENTS.items():
        if key in value and loop not in value:
            where = place.key(key)
            harmless = key == "max_parallel" and not has_alias_of(value, loop)
            fix = ("Removes it.", [where.remove()]) if harmless else None
            findings.problem(where, f"`{key}` applies only to a step with `{loop}`", fix=fix)


def read_foreach(value: Mapping[str, Any], place: Place, findings: Findings) -> Any:
    """Reads a list, or the text of an expression that evaluates to one; an invalid value is read as an empty list."""
    if "foreach" not in value:
        return None
    elements, where = value["foreach"], place.key("foreach")
    if isinstance(elements, str) and elements.strip():
        return elements
    if not isinstance(elements, list):
        findings.problem(where, f"`foreach` must be a list or an expression, not {kind_of(elements)}")
        return []
    if len(elements) > MAX_ITEMS:
        message = f"`foreach` must have at most {MAX_ITEMS} elements (got {len(elements)})"
        findings.problem(where, message, ErrorReason.TOO_LARGE)
        return []
    return elements


def read_max_parallel(value: Mapping[str, Any], place: Place, findings: Findings) -> int | None:
    """Reads the maximum number of concurrent iterations."""
    if "max_parallel" not in value or "foreach" not in value:
        return None
    return read_integer(value["max_parallel"], 1, MAX_PARALLEL, place.key("max_parallel"), findings)


def read_tolerate(value: Mapping[str, Any], place: Place, findings: Findings) -> Tolerance | None:
    """Reads how many iterations may fail: an integer, or a percentage with at most two decimals."""
    if "tolerate" not in value or "foreach" not in value:
        return None
    amount, where = value["tolerate"], place.key("tolerate")
    if is_number(amount) and amount == int(amount) and 0 <= amount <= MAX_ITEMS:
        return Tolerance(count=int(amount))
    percent = PERCENT.fullmatch(amount) if isinstance(amount, str) else None
    if percent is not None:
        return Tolerance(hundredths=int(100 * Decimal(percent[1])))
    findings.problem(where, f"{TOLERATE_EXPECTED} (got {quoted(amount)})", fix=_tolerate_fix(amount, where))
    return None


def _tolerate_fix(amount: Any, where: Place) -> tuple[str, list[Operation]] | None:
    """Repairs a number in quotes, and a percentage with spaces or as a fraction."""
    if is_number(amount) and 0 < amount < 1:
        share = f"{amount * 100:.2f}".rstrip("0").rstrip(".") + "%"
        return f"Writes the share as a percentage, {share}.", [where.replace(share)]
    text = re.sub(r"\s+", "", amount) if isinstance(amount, str) else ""
    if text.isdecimal() and len(text) < 10 and int(text) <= MAX_ITEMS:
        return "Removes the quotes.", [where.replace(int(text))]
    if text != amount and PERCENT.fullmatch(text):
        return "Removes the spaces.", [where.replace(text)]
    return None


def read_rounds(value: Mapping[str, Any], place: Place, findings: Findings) -> Rounds | None:
    """Reads `until`, `every` and their bounds; None without `until`, and when it is unusable.

    If `every` is unusable, a value takes its place so that the other keys are checked.
    """
    if "until" not in value:
        return None
    until, where = value["until"], place.key("until")
    if not isinstance(until, str) or not until.strip():
        findings.problem(where, f"`until` must be an expression as a string (got {quoted(until)})")
        until = ""
    every = _every(value, place, findings)
    rounds = None
    if "max_rounds" in value:
        rounds = read_integer(value["max_rounds"], 1, MAX_ROUNDS, place.key("max_rounds"), findings)
    timeout = read_timeout(value, place, findings, MAX_ROUNDS_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS)
    return Rounds(until, every or timeout or MIN_EVERY_SECONDS, rounds, timeout) if until else None


def _every(value: Mapping[str, Any], place: Place, findings: Findings) -> float | None:
    where = place.key("every")
    if "every" not in value:
        if not has_alias_of(value, "every"):
            fix = (f"Waits {DEFAULT_EVERY} between two rounds.", [where.add(DEFAULT_EVERY)])
            message = "a step with `until` must have `every`, the wait between two rounds"
            findings.problem(where, message, ErrorReason.FIELD_REQUIRED, fix)
        return None
    every = read_seconds(value["every"], where, findings, MAX_DELAY_SECONDS)
    if every is not None and every < MIN_EVERY_SECONDS:
        message = f"`every` must be at least {format_seconds(MIN_EVERY_SECONDS)} (got {quoted(value['every'])})"
        findings.problem(where, message)
        return None
    return every


def check_rounds(rounds: Rounds, place: Place, findings: Findings) -> None:
    """Reports a timeout that ends before the second round, or only after the maximum number of rounds."""
    every, timeout = rounds.every, rounds.timeout
    if timeout is None:
        return
    if timeout < every:
        findings.problem(
            place.key("timeout"),
            f"`timeout` of a step with `until` bounds all rounds together and must be at least `every`, "
            f"{format_seconds(every)} (got {format_seconds(timeout)}); `timeout` of a step inside `do` bounds one call",
        )
    elif rounds.max_rounds is None and timeout / every > MAX_ROUNDS:
        least = format_seconds(math.ceil(timeout / MAX_ROUNDS))
        findings.problem(
            place.key("every"),
            f"a step has at most {MAX_ROUNDS} rounds, so `every` must be at least {least} with a `timeout` of "
            f"{format_seconds(timeout)} (got {format_seconds(every)})",
            fix=(f"Waits {least} between two rounds.", [place.key("every").replace(least)]),
        )
