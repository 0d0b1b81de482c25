"""Evaluates filters of events in Python: the log stores events as JSON, without a column for each field."""

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

from gateway.api.filters import parse_filter
from gateway.api.json_values import to_datetime, to_python
from ordinaut.store.selection import EVERYTHING, Comparison, Condition, Every, Field, Kind, Literal, Not, Some
from ordinaut.v1.event_pb2 import Event

FIELDS = {
    "topic": Field("topic"),
    "source": Field("source"),
    "subject": Field("subject"),
    "id": Field("id"),
    "publisher": Field("publisher"),
    "position": Field("position", Kind.NUMBER),
    "depth": Field("depth", Kind.NUMBER),
    "publish_time": Field("publish_time", Kind.TIME),
    "data": Field("data", Kind.MAP),
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def event_filter(text: str) -> Callable[[Event], bool]:
    """Returns a predicate for events.

    Raises:
        InvalidArgumentError: the filter is malformed.
    """
    condition = parse_filter(text, FIELDS)
    if condition == EVERYTHING:
        return lambda _event: True
    return lambda event: _matches(condition, event)


def _matches(condition: Condition, event: Event) -> bool:
    match condition:
        case Every(parts):
            return all(_matches(part, event) for part in parts)
        case Some(parts):
            return any(_matches(part, event) for part in parts)
        case Not(part):
            return not _matches(part, event)
        case Comparison():
            return _compare(condition, _value(condition, event))
    raise TypeError(f"filters of events have no {type(condition).__name__}")


def _value(comparison: Comparison, event: Event) -> Any:
    if comparison.field == "publish_time":
        return to_datetime(event.publish_time)
    if comparison.field != "data":
        return getattr(event, comparison.field)
    value = to_python(event.data)
    for name in comparison.key.split(".") if comparison.key else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _compare(comparison: Comparison, value: Any) -> bool:
    if comparison.operator == ":":
        return isinstance(value, str | list | dict) and comparison.value in value
    literal = _as_type_of(value, comparison.value)
    if literal is None:  # the value is missing or has another type
        return comparison.operator == "!="
    if comparison.operator == "!=":
        return bool(value != literal)
    return COMPARE[comparison.operator](value, literal)


def _as_type_of(value: Any, literal: Literal) -> Any:
    """Converts the literal to the type of the value; None if that is not possible."""
    match value:
        case bool():
            return {"true": True, "false": False}.get(str(literal))
        case str() | datetime():
            return literal
        case int() | float():
            try:
                return float(str(literal))
            except ValueError:
                return None
    return None
