"""JSON merge patches as field masks. Source: RFC 7396.

A mask names a value that is sent and one that is cleared alike, and a message that is unset is not a message without
fields. Free JSON has a null of its own. So the body of a PATCH becomes a mask with one path per value, and the nulls of
free JSON are removed from the document: the mask names them, and what it names and the document lacks is cleared.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway.api.field_masks import NEVER, is_free_json, is_map, is_message
from gateway.api.mask_paths import MERGE, quoted
from ordinaut.documents.reading import find_field, named_field

UNCHANGEABLE = frozenset({field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER})


def changed_paths(resource: Any, patch: Any) -> list[str]:
    """The paths of the writable fields that a patch contains, set or cleared.

    >>> from ordinaut.v1.task_pb2 import Task
    >>> changed_paths(Task.DESCRIPTOR, {"schedule": {"timeZone": "UTC"}, "labels": {"a": None}, "params": None})
    ['schedule.time_zone', 'labels.*', 'labels.a', 'params']
    """
    if not isinstance(patch, Mapping):
        return []
    return [path for path in _paths(resource, patch, "") if path.partition(".")[0] not in NEVER]


def without_nulls(resource: Any, patch: Any) -> Any:
    """The patch without the nulls of maps and free JSON, except those in lists."""
    if not isinstance(patch, Mapping):
        return patch
    return {key: _without_nulls(find_field(resource, str(key)), value) for key, value in patch.items()}


def behaviors(field: FieldDescriptor) -> frozenset[int]:
    """The behaviors that the contract gives a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _paths(message: Any, patch: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in patch.items():
        field = named_field(message, str(key), patch)
        if field is None or UNCHANGEABLE & behaviors(field):
            continue
        path = prefix + field.name
        if not isinstance(value, Mapping):
            yield path
        elif is_map(field) or is_free_json(field):
            yield path + MERGE
            yield from _nulls(value, path)
        elif not is_message(field):
            yield path
        else:
            if all(inner is None for inner in value.values()):
                yield path + MERGE  # the message is set, also if it was not
            yield from _paths(field.message_type, value, f"{path}.")


def _nulls(patch: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    for key, value in patch.items():
        path = f"{prefix}.{quoted(str(key))}"
        if value is None:
            yield path
        elif isinstance(value, Mapping):
            yield from _nulls(value, path)


def _without_nulls(field: FieldDescriptor | None, value: Any) -> Any:
    if field is None or not isinstance(value, Mapping):
        return value
    if is_map(field) or is_free_json(field):
        return _pruned(value)
    return without_nulls(field.message_type, value) if is_message(field) else value


def _pruned(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _pruned(inner) for key, inner in value.items() if inner is not None}
