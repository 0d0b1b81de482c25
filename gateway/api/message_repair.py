"""Replaces the values that `message_checks` refuses, so that the rest of a request can still be validated."""

import math
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.api.message_checks import DURATION_SECONDS, TIMESTAMP_SECONDS, invalid_values


def without_invalid(request: Message) -> Any:
    """Returns the request, or a copy in which invalid values are replaced by valid ones of the same type."""
    if not invalid_values(request):
        return request
    copied = type(request)()
    copied.CopyFrom(request)
    _repair(copied)
    return copied


def _repair(message: Any) -> None:
    match message.DESCRIPTOR.full_name:
        case "google.protobuf.Timestamp" if not (
            TIMESTAMP_SECONDS[0] <= message.seconds <= TIMESTAMP_SECONDS[1] and 0 <= message.nanos < 10**9
        ):
            message.Clear()
        case "google.protobuf.Duration" if (
            abs(message.seconds) > DURATION_SECONDS
            or abs(message.nanos) >= 10**9
            or message.seconds * message.nanos < 0
        ):
            message.Clear()
        case "google.protobuf.Value" if message.WhichOneof("kind") is None:
            message.null_value = 0
        case _:
            for field, value in message.ListFields():
                _repair_field(message, field, value)


def _repair_field(message: Any, field: FieldDescriptor, value: Any) -> None:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        _repair_map(value, entry.fields_by_name["value"])
    elif field.is_repeated:
        for index, item in enumerate(value):
            if field.message_type is not None:
                _repair(item)
            else:
                value[index] = _valid(field, item)
    elif field.message_type is not None:
        _repair(value)
    elif (valid := _valid(field, value)) != value:
        setattr(message, field.name, valid)


def _repair_map(entries: Any, field: FieldDescriptor) -> None:
    for key in list(entries):
        if isinstance(key, str) and "\0" in key:
            del entries[key]
        elif field.message_type is not None:
            _repair(entries[key])
        else:
            entries[key] = _valid(field, entries[key])


def _valid(field: FieldDescriptor, value: Any) -> Any:
    if field.enum_type is not None:
        return value if value in field.enum_type.values_by_number else 0
    if isinstance(value, float) and not math.isfinite(value):
        return 0.0
    return value.replace("\0", "") if isinstance(value, str) else value
