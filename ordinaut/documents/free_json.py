"""Converts arbitrary JSON to `google.protobuf.Struct`, `Value` and `ListValue`."""

import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.numbers import is_exact
from ordinaut.documents.scalars import SURROGATE, kind_of
from ordinaut.limits import MAX_MESSAGE_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

FREE_JSON = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})
Invalid = tuple[list[str | int], InvalidValue]


def fill_free(value: Any, message: Any, depth: int, *, rounds: bool = False) -> Iterator[Invalid]:
    """Fills an empty message from a JSON value; yields each value that cannot be represented, with its path.

    `depth` is the number of nested messages up to and including `message`. With `rounds`, integers from 2^53 on are
    rounded instead of refused.
    """
    if rounds:
        value = _rounded(value)
    match message.DESCRIPTOR.name:
        case "Struct" if isinstance(value, Mapping):
            yield from _object(value, message, depth, [])
        case "ListValue" if isinstance(value, list):
            yield from _list(value, message, depth, [])
        case "Value":
            yield from _value(value, message, depth, [])
        case kind:
            expected = "an object" if kind == "Struct" else "a list"
            yield [], InvalidValue(ErrorReason.FIELD_INVALID, f"must be {expected} (got {kind_of(value)})")


def _value(value: Any, message: Any, depth: int, steps: list[str | int]) -> Iterator[Invalid]:
    if depth > MAX_MESSAGE_DEPTH:
        yield steps, InvalidValue(ErrorReason.JSON_TOO_DEEP, "JSON is nested too deeply for a protobuf message")
        return
    match value:
        case None:
            message.null_value = 0
        case bool():
            message.bool_value = value
        case int() | float():
            yield from _number(value, message, steps)
        case str():
            yield from _text(value, steps)
            if not SURROGATE.search(value):
                message.string_value = value
        case Mapping():
            yield from _object(value, message.struct_value, depth + 1, steps)
        case list():
            yield from _list(value, message.list_value, depth + 1, steps)
        case InvalidValue():
            yield steps, value
        case _:
            yield steps, InvalidValue(ErrorReason.FIELD_INVALID, f"must be a JSON value (got {kind_of(value)})")


def _object(value: Mapping[Any, Any], message: Any, depth: int, steps: list[str | int]) -> Iterator[Invalid]:
    message.SetInParent()
    for key, item in value.items():
        here = [*steps, str(key)]
        if not isinstance(key, str):
            yield here, InvalidValue(ErrorReason.FIELD_INVALID, f"key {key!r} must be a string: put it in quotes")
        elif SURROGATE.search(key):
            yield from _text(key, steps)
        else:
            yield from _value(item, message.fields[key], depth + 2, here)


def _list(value: list[Any], message: Any, depth: int, steps: list[str | int]) -> Iterator[Invalid]:
    message.SetInParent()
    for index, item in enumerate(value):
        yield from _value(item, message.values.add(), depth + 1, [*steps, index])


def _number(value: float, message: Any, steps: list[str | int]) -> Iterator[Invalid]:
    if isinstance(value, float) and not math.isfinite(value):
        yield steps, InvalidValue(ErrorReason.NON_FINITE_NUMBER, "must be a finite number")
    elif not (is_exact(value) or isinstance(value, _Rounded)):
        yield (
            steps,
            InvalidValue(
                ErrorReason.INTEGER_PRECISION, "integers from 2^53 on lose digits as JSON numbers: put it in quotes"
            ),
        )
    else:
        message.number_value = value


class _Rounded(float):
    """An integer that may be rounded."""


def _rounded(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
        case int() | float() if not isinstance(value, bool) and not is_exact(value):
            return _Rounded(value) if abs(value) <= sys.float_info.max else value
    return value


def _text(value: str, steps: list[str | int]) -> Iterator[Invalid]:
    if SURROGATE.search(value):
        yield steps, InvalidValue(ErrorReason.INVALID_UNICODE, "must not contain a lone surrogate")
