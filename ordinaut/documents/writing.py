"""Messages as proto3-JSON documents with the protos' own field names."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message


def to_document(message: Message) -> dict[str, Any]:
    """A message as proto3 JSON; whole numbers of free JSON are integers, integers of 64 bits are texts."""
    document: dict[str, Any] = with_integers(json_format.MessageToDict(message, preserving_proto_field_name=True))
    return document


def with_integers(value: Any) -> Any:
    """JSON whose numbers without a fraction are integers: Struct knows floats only."""
    if isinstance(value, dict):
        return {key: with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and str(value) != "-0.0" else value
