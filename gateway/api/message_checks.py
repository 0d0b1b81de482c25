"""What no request may hold, wherever it stands: values that JSON, PostgreSQL or a clock cannot keep as they are.

Every request is walked once before its servicer sees it, so that no later step can fail on such a value.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.limits import EXACT_INTEGER, MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

MAX_PROBLEMS = 100
TIMESTAMP_SECONDS = (-62_135_596_800, 253_402_300_799)  # the years 1 to 9999
DURATION_SECONDS = 315_576_000_000  # 10 000 years; Source: duration.proto
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
Problem = tuple[str, "ErrorReason.ValueType", str]


def require_wellformed(request: Message) -> None:
    """Walks a whole request.

    Raises:
        InvalidArgumentError: with every such value, at most a hundred.
    """
    found = [
        Violation(path, text, reason)
        for (path, reason, text), _ in zip(_message(request, ""), range(MAX_PROBLEMS), strict=False)
    ]
    if found:
        raise InvalidArgumentError.of(found)


def key_path(path: str, key: str) -> str:
    """The path of `key` inside `path`; keys that are no words are quoted."""
    if not PLAIN_KEY.fullmatch(key):
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def _message(message: Message, path: str) -> Iterator[Problem]:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue":
            yield from _json(message, path, 1)
        case "google.protobuf.Timestamp":
            yield from _timestamp(message, path)
        case "google.protobuf.Duration":
            yield from _duration(message, path)
        case _:
            for field, value in message.ListFields():
                yield from _field(field, value, key_path(path, field.name))


def _field(field: FieldDescriptor, value: Any, path: str) -> Iterator[Problem]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        for key, item in value.items():
            yield from _text(str(key), path)
            yield from _single(entry.fields_by_name["value"], item, key_path(path, str(key)))
    elif field.is_repeated:
        for index, item in enumerate(value):
            yield from _single(field, item, f"{path}[{index}]")
    else:
        yield from _single(field, value, path)


def _single(field: FieldDescriptor, value: Any, path: str) -> Iterator[Problem]:
    if field.message_type is not None:
        yield from _message(value, path)
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            yield path, ErrorReason.FIELD_INVALID, f"{value} is no value of {field.enum_type.name}"
    elif isinstance(value, str):
        yield from _text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, ErrorReason.NON_FINITE_NUMBER, "must be a finite number"


def _json(value: Any, path: str, depth: int) -> Iterator[Problem]:
    if depth > MAX_JSON_DEPTH:
        yield path, ErrorReason.JSON_TOO_DEEP, f"JSON may be nested {MAX_JSON_DEPTH} levels deep"
    elif isinstance(value, Struct):
        for key, item in value.fields.items():
            here = key_path(path, key)
            yield from _text(key, here)
            yield from _json(item, here, depth)
    elif isinstance(value, ListValue):
        for index, item in enumerate(value.values):
            yield from _json(item, f"{path}[{index}]", depth)
    else:
        yield from _json_value(value, path, depth)


def _json_value(value: Value, path: str, depth: int) -> Iterator[Problem]:
    match value.WhichOneof("kind"):
        case "string_value":
            yield from _text(value.string_value, path)
        case "number_value":
            yield from _number(value.number_value, path)
        case "struct_value":
            yield from _json(value.struct_value, path, depth + 1)
        case "list_value":
            yield from _json(value.list_value, path, depth + 1)
        case None:
            yield path, ErrorReason.FIELD_REQUIRED, "must be a JSON value; null is a value of its own"


def _number(number: float, path: str) -> Iterator[Problem]:
    if not math.isfinite(number):
        yield path, ErrorReason.NON_FINITE_NUMBER, "JSON has no NaN and no infinity"
    elif abs(number) >= EXACT_INTEGER:
        yield path, ErrorReason.INTEGER_PRECISION, "2^53 and more lose digits in JSON: send it as a text"


def _text(text: str, path: str) -> Iterator[Problem]:
    if "\0" in text:
        yield path, ErrorReason.NUL_CHARACTER, "must not hold a NUL character"


def _timestamp(value: Any, path: str) -> Iterator[Problem]:
    first, last = TIMESTAMP_SECONDS
    if not first <= value.seconds <= last or not 0 <= value.nanos < 10**9:
        yield path, ErrorReason.FIELD_INVALID, "must be a moment in the years 1 to 9999"


def _duration(value: Any, path: str) -> Iterator[Problem]:
    opposed = value.seconds * value.nanos < 0
    if abs(value.seconds) > DURATION_SECONDS or abs(value.nanos) >= 10**9 or opposed:
        yield path, ErrorReason.FIELD_INVALID, "must be a duration of at most 10 000 years"
