"""JSON between its two forms: `google.protobuf.Struct` and `Value` on the wire, text in the tables.

What the wire cannot carry leaves as text and is refused where it would come in (`wellformed`): integers whose digits
a JSON number loses, as decimal strings; what is nested too deep for a protobuf reader, as JSON.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.limits import EXACT_INTEGER

ANSWER_DEPTH = 31  # protobuf readers refuse messages nested 100 deep; a level of JSON takes three
LONG_INTEGER = re.compile(r"\d{16}")
INTEGER_DIGITS_MAX = 1000  # Python refuses to read integers of more than 4 300 digits


def to_python(value: Struct | ListValue | Value) -> Any:
    """Plain Python data; numbers without a fraction are int."""
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
    return int(plain) if kind == "number_value" and plain.is_integer() else plain


def to_json(value: Struct | ListValue | Value) -> str:
    """JSON text."""
    return orjson.dumps(to_python(value)).decode()


def fill_struct(struct: Struct, data: dict[str, Any], depth: int = 1) -> None:
    """Puts plain data into an empty Struct and marks it as set, also when there is nothing to put."""
    struct.SetInParent()
    for key, item in data.items():
        fill_value(struct.fields[key], item, depth)


def fill_value(value: Value, data: Any, depth: int = 0) -> None:
    """Puts plain data into an empty Value that `depth` levels of JSON surround."""
    match data:
        case None:
            value.null_value = 0  # type: ignore[assignment]  # the only value of NullValue
        case bool():
            value.bool_value = data
        case str():
            value.string_value = data
        case int() if abs(data) >= EXACT_INTEGER:
            value.string_value = str(data)
        case int() | float():
            value.number_value = data
        case dict() | list() if depth >= ANSWER_DEPTH:
            value.string_value = json.dumps(data, ensure_ascii=False)
        case dict():
            fill_struct(value.struct_value, data, depth + 1)
        case _:
            value.list_value.SetInParent()
            for item in data:
                fill_value(value.list_value.values.add(), item, depth + 1)


def parse(text: str) -> Any:
    """What a JSON text from the tables says, every digit of its integers included."""
    if LONG_INTEGER.search(text):  # orjson makes floats of those beyond 64 bits
        return json.loads(text, parse_int=_exact)
    return orjson.loads(text)


def _exact(digits: str) -> int | str:
    return int(digits) if len(digits) <= INTEGER_DIGITS_MAX else digits


def timestamp(moment: datetime) -> Timestamp:
    """An aware moment, to the microsecond."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def moment_of(stamp: Timestamp) -> datetime:
    """The moment, aware, UTC."""
    return stamp.ToDatetime(UTC)


def duration(span: timedelta) -> Duration:
    """A span of time."""
    value = Duration()
    value.FromTimedelta(span)
    return value
