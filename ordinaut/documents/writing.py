"""Converts messages to proto3 JSON documents with the field names of the protos."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from ordinaut.limits import EXACT_INTEGER


def to_document(message: Message) -> dict[str, Any]:
    """A message as proto3 JSON. Integral numbers of Struct values become int; 64-bit integer fields are strings."""
    document: dict[str, Any] = with_integers(json_format.MessageToDict(message, preserving_proto_field_name=True))
    return document


def with_integers(value: Any) -> Any:
    """A copy of a JSON value in which floats without a fraction are int, because Struct stores doubles only.

    From 2^53 on they stay floats: the digits of the int would not be those that were written.

    >>> with_integers([1.0, 1.5, 1e23])
    [1, 1.5, 1e+23]
    """
    if isinstance(value, dict):
        return {key: with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT_INTEGER and str(value) != "-0.0":
        return int(value)
    return value
