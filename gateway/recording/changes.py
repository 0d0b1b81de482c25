"""What a change has changed, as JSON Merge Patches (RFC 7396)."""

import hashlib
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.recording.masking import masked

PATCH_MAX = 16 * 1024  # bytes
MESSAGE_MAX = 256 * 1024  # bytes; of larger resources only the hash is computed
# Fields that follow from others, or that runs change.
DERIVED = frozenset({
    "etag", "update_time", "upcoming", "explanation", "warnings", "fixes", "output", "steps", "omitted", "last_use_time"
})  # fmt: skip


def document(message: Message | None) -> Any:
    """Returns a resource as JSON without derived fields; None for a message without fields and for no message."""
    if message is None or not message.DESCRIPTOR.fields:
        return None
    if message.ByteSize() > MESSAGE_MAX:
        return _hashed(message.SerializeToString(deterministic=True))
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return masked({name: value for name, value in fields.items() if name not in DERIVED})


def patches(before: Any, after: Any) -> tuple[Any, Any]:
    """Returns the patch that undoes a change, and the one that repeats it; None for a resource that does not exist.

    >>> patches({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}})
    ({'b': {'c': 2, 'd': 3}}, {'b': {'d': None, 'c': 4}})
    >>> patches(None, {"a": 1})
    (None, {'a': 1})
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return bounded(_patch(after, before)), bounded(_patch(before, after))
    return bounded(before), bounded(after)


def bounded(value: Any) -> Any:
    """Returns the value, or its hash and size if it has more than 16 KiB."""
    if value is None or len(text := orjson.dumps(value)) <= PATCH_MAX:
        return value
    return _hashed(text)


def _patch(source: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """The patch from source to target."""
    patch: dict[str, Any] = {name: None for name in source if name not in target}
    for name, value in target.items():
        current = source.get(name)
        if isinstance(value, dict) and isinstance(current, dict):
            if inner := _patch(current, value):
                patch[name] = inner
        elif name not in source or current != value:
            patch[name] = value
    return patch


def _hashed(text: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
