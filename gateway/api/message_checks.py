"""Refuses values that JSON, PostgreSQL or a Timestamp cannot represent, in any field of any request.

Every request is traversed once before its method is called, so that no later step can fail on such a value.
"""

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from ordinaut.documents.numbers import SCHEMA_FIELDS, is_exact
from ordinaut.documents.pointers import key_path
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

MAX_PROBLEMS = 100
TIMESTAMP_SECONDS = (-62_135_596_800, 253_402_300_799)  # the years 1 to 9999
DURATION_SECONDS = 315_576_000_000  # 10 000 years; Source: duration.proto
MAX_VALUES = 200_000  # of JSON in one request; to convert them takes 0.15 s
Problem = tuple[str, "ErrorReason.ValueType", str]


class _Count:
    """The number of JSON values that were traversed."""

    def __init__(self) -> None:
        self._values = 0

    def add(self, values: int) -> None:
        """Counts values.

        Raises:
            InvalidArgumentError: TOO_LARGE: there are too many.
        """
        self._values += values
        if self._values > MAX_VALUES:
            text = f"the request must have at most {MAX_VALUES} JSON values (got more)"
            raise InvalidArgumentError(ErrorReason.TOO_LARGE, text)


def invalid_values(request: Message) -> list[Violation]:
    """Traverses a request and returns a violation for each invalid value, at most a hundred.

    Raises:
        InvalidArgumentError: TOO_LARGE: there are more than 200 000 JSON values.
    """
    return [
        Violation(path, text, reason)
        for (path, reason, text), _ in zip(_message(request, "", _Count()), range(MAX_PROBLEMS), strict=False)
    ]


def require_valid_values(request: Message) -> None:
    """Refuses a request with invalid values.

    Raises:
        InvalidArgumentError: with a violation for each invalid value, at most a hundred; TOO_LARGE: there are more
            than 200 000 JSON values.
    """
    if violations := invalid_values(request):
        raise InvalidArgumentError.of(violations)


def _message(message: Message, path: str, count: _Count) -> Iterator[Problem]:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue":
            yield from _json(message, path, 1, count)
        case "google.protobuf.Timestamp":
            yield from _timestamp(message, path)
        case "google.protobuf.Duration":
            yield from _duration(message, path)
        case _:
            for field, value in message.ListFields():
                yield from _field(field, value, key_path(path, field.name), count)


def _field(field: FieldDescriptor, value: Any, path: str, count: _Count) -> Iterator[Problem]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        for key, item in value.items():
            yield from _text(str(key), path)
            yield from _single(entry.fields_by_name["value"], item, key_path(path, str(key)), count)
    elif field.is_repeated:
        for index, item in enumerate(value):
            yield from _single(field, item, f"{path}[{index}]", count)
    else:
        yield from _single(field, value, path, count)


def _single(field: FieldDescriptor, value: Any, path: str, count: _Count) -> Iterator[Problem]:
    if field.message_type is not None:
        problems = _message(value, path, count)
        if field.name in SCHEMA_FIELDS:
            problems = (problem for problem in problems if problem[1] != ErrorReason.INTEGER_PRECISION)
        yield from problems
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number:
            yield path, ErrorReason.FIELD_INVALID, f"must be a value of {field.enum_type.name} (got {value})"
    elif isinstance(value, str):
        yield from _text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, ErrorReason.NON_FINITE_NUMBER, f"must be a finite number (got {value})"


def _json(value: Any, path: str, depth: int, count: _Count) -> Iterator[Problem]:
    if depth > MAX_JSON_DEPTH:
        yield path, ErrorReason.JSON_TOO_DEEP, f"JSON must be nested at most {MAX_JSON_DEPTH} levels deep"
    elif isinstance(value, Struct):
        count.add(len(value.fields))
        for key, item in value.fields.items():
            item_path = key_path(path, key)
            yield from _text(key, item_path)
            yield from _json(item, item_path, depth, count)
    elif isinstance(value, ListValue):
        count.add(len(value.values))
        for index, item in enumerate(value.values):
            yield from _json(item, f"{path}[{index}]", depth, count)
    else:
        yield from _json_value(value, path, depth, count)


def _json_value(value: Value, path: str, depth: int, count: _Count) -> Iterator[Problem]:
    match value.WhichOneof("kind"):
        case "string_value":
            yield from _text(value.string_value, path)
        case "number_value":
            yield from _number(value.number_value, path)
        case "struct_value":
            yield from _json(value.struct_value, path, depth + 1, count)
        case "list_value":
            yield from _json(value.list_value, path, depth + 1, count)
        case None:
            yield path, ErrorReason.FIELD_REQUIRED, "must be a JSON value; send null explicitly"


def _number(number: float, path: str) -> Iterator[Problem]:
    if not math.isfinite(number):
        yield path, ErrorReason.NON_FINITE_NUMBER, f"must be a finite number (got {number})"
    elif not is_exact(number):
        yield (
            path,
            ErrorReason.INTEGER_PRECISION,
            "numbers from 2^53 on must have at most 15 significant digits, because integers may have been rounded "
            f"(got {number:.17g}); send larger integers as a string",
        )


def _text(text: str, path: str) -> Iterator[Problem]:
    if "\0" in text:
        yield path, ErrorReason.NUL_CHARACTER, "must not contain a NUL character"


def _timestamp(value: Any, path: str) -> Iterator[Problem]:
    first, last = TIMESTAMP_SECONDS
    if not first <= value.seconds <= last or not 0 <= value.nanos < 10**9:
        yield (
            path,
            ErrorReason.FIELD_INVALID,
            f"must be in the years 1 to 9999 (got {value.seconds} s and {value.nanos} ns since 1970)",
        )


def _duration(value: Any, path: str) -> Iterator[Problem]:
    signs_differ = value.seconds * value.nanos < 0
    if abs(value.seconds) > DURATION_SECONDS or abs(value.nanos) >= 10**9 or signs_differ:
        text = f"must be a duration of at most 10 000 years (got {value.seconds} s and {value.nanos} ns)"
        yield path, ErrorReason.FIELD_INVALID, text
