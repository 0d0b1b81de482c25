"""Converts JSON between `google.protobuf.Struct` and `Value` on the wire and text in the tables.

Values that a Struct cannot carry are sent as text: integers that a double cannot represent, as decimal strings, and
values that are nested too deep for a protobuf parser, as JSON. In requests such values are refused (`message_checks`).
Sensitive values, which are encrypted in the tables, are sent as `[sensitive]`.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.documents.numbers import is_exact
from ordinaut.limits import EXACT_INTEGER
from ordinaut.sensitive import masked

RESPONSE_DEPTH = 31  # protobuf parsers refuse 100 nested messages; a level of JSON takes three
LONG_INTEGER = re.compile(r"\d{16}")
INTEGER_DIGITS_MAX = 1000  # Python refuses to read integers of more than 4 300 digits


def to_python(value: Struct | ListValue | Value) -> Any:
    """Returns plain Python data; numbers without a fraction are int below 2^53."""
    if isinstance(value, Struct):
        return {key: to_python(item) for key, item in value.fields.items()}
    if isinstance(value, ListValue):
        return [to_python(item) for item in value.values]
    kind = value.WhichOneof("kind")
    if kind in {None, "null_value"}:
        return None
    plain = getattr(value, kind)
    if kind in {"struct_value", "list_value"}:
        return to_python(plain)
    whole = kind == "number_value" and plain.is_integer() and abs(plain) < EXACT_INTEGER
    return int(plain) if whole else plain


def to_json(value: Struct | ListValue | Value) -> str:
    """Returns JSON text."""
    return orjson.dumps(to_python(value)).decode()


def fill_struct(struct: Struct, data: dict[str, Any], depth: int = 1, *, rounds: bool = False) -> None:
    """Copies plain data into an empty Struct and marks it as set, also if the data is empty."""
    struct.SetInParent()
    for key, item in data.items():
        fill_value(struct.fields[masked(key)], item, depth, rounds=rounds)


def fill_value(value: Value, data: Any, depth: int = 0, *, rounds: bool = False) -> None:
    """Copies plain data into an empty Value that is nested in `depth` levels of JSON.

    With `rounds`, for schemas, large integers are rounded instead of sent as text.
    """
    match data:
        case None:
            value.null_value = 0  # type: ignore[assignment]  # the only value of NullValue
        case bool():
            value.bool_value = data
        case str():
            value.string_value = masked(data)
        case int() if not (rounds or is_exact(data)):
            value.string_value = str(data)
        case int() | float():
            value.number_value = data
        case dict() | list() if depth >= RESPONSE_DEPTH:
            value.string_value = masked(json.dumps(data, ensure_ascii=False))
        case dict():
            fill_struct(value.struct_value, data, depth + 1, rounds=rounds)
        case _:
            value.list_value.SetInParent()
            for item in data:
                fill_value(value.list_value.values.add(), item, depth + 1, rounds=rounds)


def parse(text: str) -> Any:
    """Parses JSON text from the tables; integers keep all digits."""
    if LONG_INTEGER.search(text):  # orjson converts integers of more than 64 bits to float
        return json.loads(text, parse_int=_exact)
    return orjson.loads(text)


def _exact(digits: str) -> int | str:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else digits


def timestamp(time: datetime) -> Timestamp:
    """Converts an aware datetime, to the microsecond."""
    message = Timestamp()
    message.FromDatetime(time)
    return message


def to_datetime(message: Timestamp) -> datetime:
    """Converts to an aware datetime in UTC."""
    return message.ToDatetime(UTC)


def duration(span: timedelta) -> Duration:
    """Converts a timedelta, to the microsecond."""
    message = Duration()
    message.FromTimedelta(span)
    return message
