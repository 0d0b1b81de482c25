"""Whether two schedules mean the same: their instants over two years, their event triggers and their policies."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.compare import truthy
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule
from scheduler.validation.schedule import compiled, validate

YEARS = timedelta(days=731)
MAX_INSTANTS = 1500  # from the start; frequent schedules are also compared at the start of each month
SAMPLE = 60
NUMBER, TEXT, FIELD = re.compile(r"\b\d+(?:\.\d+)?\b"), re.compile(r"'([^']*)'"), re.compile(r"\bdata\.(\w+)")


class Due(NamedTuple):
    """An instant, whether it is excluded, and the params that its trigger sets."""

    time: datetime
    excluded: bool
    params: Mapping[str, Any]


def difference(schedule: Schedule, oracle: Schedule, now: datetime) -> str:
    """The first difference in words; empty if both schedules mean the same."""
    checks = [validate(each, now, stored=False) for each in (schedule, oracle)]
    for check in checks:
        if check.violations:
            return f"schedule: {check.violations[0].field}: {check.violations[0].message}"
    ours, expected = (compiled(check.schedule) for check in checks)
    return _events(ours, expected) or _policies(schedule, oracle) or _instants(ours, expected, now)


def _events(ours: CompiledSchedule, expected: CompiledSchedule) -> str:
    left, right = (sorted(each.event_triggers, key=lambda trigger: trigger.topic) for each in (ours, expected))
    if [(each.topic, each.params) for each in left] != [(each.topic, each.params) for each in right]:
        return f"event triggers: {[each.topic for each in left]} instead of {[each.topic for each in right]}"
    for mine, other in zip(left, right, strict=True):
        if not _equal_conditions(mine.when, other.when):
            return f"event triggers: when {mine.when!r} instead of {other.when!r}"
    return ""


def _equal_conditions(mine: str, other: str) -> bool:
    """Whether both accept the same events: with numbers around those in the conditions, and without data."""
    if mine == other or not (mine and other):
        return mine == other
    numbers = [float(text) for text in NUMBER.findall(mine + other)] or [0.0]
    fields = sorted(set(FIELD.findall(mine + other)))
    values = [*TEXT.findall(mine + other), *(number + step for number in numbers for step in (-1, 0, 1))]
    events: list[dict[str, Any]] = [{"topic": "orders.paid", "data": dict.fromkeys(fields, value)} for value in values]
    events.append({"topic": "orders.paid", "data": {}})
    return all(_accepts(mine, event) == _accepts(other, event) for event in events)


def _accepts(condition: str, event: Mapping[str, Any]) -> bool | None:
    try:
        return truthy(compile_expression(condition, strict=False).evaluate(dict(event)))
    except ExpressionError:
        return None


def _policies(schedule: Schedule, oracle: Schedule) -> str:
    for name in ("jitter", "catch_up", "dst"):
        values = [_policy(each, name) for each in (schedule, oracle)]
        if values[0] != values[1]:
            return f"schedule.{name}: {values[0]} instead of {values[1]}"
    return ""


def _policy(schedule: Schedule, name: str) -> Any:
    value = MessageToDict(schedule, preserving_proto_field_name=True).get(name) or {}
    return {} if value == {"policy": "LATEST"} else value


def _instants(ours: CompiledSchedule, expected: CompiledSchedule, now: datetime) -> str:
    for left, right in zip_longest(_due(ours, now), _due(expected, now)):
        if left != right:
            return f"schedule: {_text(left)} instead of {_text(right)}"
    return ""


def _text(due: Due | None) -> str:
    if due is None:
        return "no instant"
    return f"{due.time:%a %Y-%m-%d %H:%M:%S}Z{' excluded' if due.excluded else ''} {due.params or ''}".strip()


def _due(schedule: CompiledSchedule, now: datetime) -> Iterator[Due]:
    """All instants of two years, or of the start of them and of each month; a later first instant counts as well."""
    first = list(_after(schedule, now, now + YEARS, MAX_INSTANTS))
    yield from first
    if not first:
        yield from _after(schedule, now, None, 1)
    elif len(first) == MAX_INSTANTS:
        for start, end in pairwise(now + timedelta(days=30.5 * month) for month in range(25)):
            yield from _after(schedule, start, end, SAMPLE)


def _after(schedule: CompiledSchedule, start: datetime, end: datetime | None, most: int) -> Iterator[Due]:
    state: dict[str, Any] = {}
    for _ in range(most):
        instant, state = schedule.next(start, state)
        if instant is None or (end is not None and instant.time >= end):
            return
        start = instant.time
        yield Due(instant.time, instant.excluded, dict(instant.params or {}))
