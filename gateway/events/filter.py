"""Filters of events, which are looked at one by one: the log has no columns for what is inside them."""

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

from gateway.api.filters import parse_filter
from gateway.api.json_values import moment_of, to_python
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
    """Tells whether an event fits a filter.

    Raises:
        InvalidArgumentError: the filter cannot be read.
    """
    condition = parse_filter(text, FIELDS)
    if condition == EVERYTHING:
        return lambda _event: True
    return lambda event: _holds(condition, event)


def _holds(condition: Condition, event: Event) -> bool:
    match condition:
        case Every(parts):
            return all(_holds(part, event) for part in parts)
        case Some(parts):
            return any(_holds(part, event) for part in parts)
        case Not(part):
            return not _holds(part, event)
    return _fits(condition, _value(condition, event))


def _value(asked: Comparison, event: Event) -> Any:
    if asked.field == "publish_time":
        return moment_of(event.publish_time)
    if asked.field != "data":
        return getattr(event, asked.field)
    value = to_python(event.data)
    for name in asked.key.split(".") if asked.key else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _fits(asked: Comparison, value: Any) -> bool:
    if asked.operator == ":":
        return isinstance(value, str | list | dict) and asked.value in value
    literal = _like(value, asked.value)
    if literal is None:  # nothing there, or of another type
        return asked.operator == "!="
    if asked.operator == "!=":
        return bool(value != literal)
    return COMPARE[asked.operator](value, literal)


def _like(value: Any, literal: Literal) -> Any:
    """The literal as the type that the value has; None when it cannot be."""
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
