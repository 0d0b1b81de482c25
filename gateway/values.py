"""JSON between its two forms: `google.protobuf.Struct` and `Value` on the wire, text in the tables.

Integers whose digits a JSON number would lose leave as decimal strings; they never come in (`wellformed`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.wellformed import EXACT_INTEGER


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


def fill_struct(struct: Struct, data: dict[str, Any]) -> None:
    """Puts plain data into an empty Struct and marks it as set, also when there is nothing to put."""
    struct.SetInParent()
    for key, item in data.items():
        fill_value(struct.fields[key], item)


def fill_value(value: Value, data: Any) -> None:
    """Puts plain data into an empty Value."""
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
        case dict():
            fill_struct(value.struct_value, data)
        case _:
            value.list_value.SetInParent()
            for item in data:
                fill_value(value.list_value.values.add(), item)


def parse(text: str) -> Any:
    """What a JSON text from the tables says."""
    return orjson.loads(text)


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
