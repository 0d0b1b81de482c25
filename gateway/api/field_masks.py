"""Field masks and etags of updates. Source: AIP-134, AIP-154, AIP-161."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from gateway.api.errors import etag_mismatch
from gateway.api.violations import Problems, is_set, output_only
from ordinaut.v1.error_pb2 import ErrorReason

EVERYTHING = "*"
WELL_KNOWN = "google.protobuf."
NEVER = frozenset({"name", "etag"})
Resource = TypeVar("Resource", bound=Message)


def masked_paths(problems: Problems, changes: Message, mask: FieldMask) -> list[str]:
    """Returns the paths that an update changes: the mask's, or without a mask every writable field that is set.

    `*` means every writable field. Paths that do not exist or cannot be changed become problems.

    >>> from ordinaut.v1.task_pb2 import Task
    >>> changes, problems = Task(description="new", labels={"team": "mail"}), Problems()
    >>> masked_paths(problems, changes, FieldMask())
    ['description', 'labels']
    >>> masked_paths(problems, changes, FieldMask(paths=["run_policy.priority", "state"]))
    ['run_policy.priority', 'state']
    >>> problems.violations[0].message
    "'state' is not a writable field; writable fields: display_name, description, labels, ..."
    """
    writable = writable_fields(changes)
    if not mask.paths:
        return [field.name for field, _ in changes.ListFields() if field.name in writable]
    if list(mask.paths) == [EVERYTHING]:
        return writable
    paths = [path for path in dict.fromkeys(mask.paths) if path.split(".")[0] not in NEVER]
    for path in paths:
        if not _is_writable(changes, path, writable):
            message = f"{path!r} is not a writable field; writable fields: {', '.join(writable)}"
            problems.add("update_mask", message, ErrorReason.FIELD_MASK_INVALID)
    return paths


def writable_fields(resource: Message) -> list[str]:
    """Returns the names of the fields that callers may change."""
    read_only = NEVER.union(output_only(resource))
    return [field.name for field in resource.DESCRIPTOR.fields if field.name not in read_only]


def apply(stored: Resource, changes: Resource, paths: Sequence[str]) -> Resource:
    """Returns a copy of `stored` in which every path has its value from `changes`, also when it is unset there.

    >>> from ordinaut.v1.task_pb2 import Task
    >>> task = apply(Task(description="old", labels={"a": "b"}), Task(description="new"), ["description", "labels"])
    >>> task.description, dict(task.labels)
    ('new', {})
    """
    result = type(stored)()
    result.CopyFrom(stored)
    for path in paths:
        _replace(changes, result, path.split("."))
    return result


def _replace(source: Message, target: Message, path: Sequence[str]) -> None:
    """Copies one path. FieldMask.MergeMessage does not clear fields of a message that is unset in the source."""
    name, *rest = path
    if rest:
        _replace(getattr(source, name), getattr(target, name), rest)
        return
    target.ClearField(name)
    if not is_set(source, name):
        return
    field = source.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(target, name).MergeFrom(getattr(source, name))
    elif field.message_type is not None:
        getattr(target, name).CopyFrom(getattr(source, name))
        getattr(target, name).SetInParent()  # an empty message is not an unset one
    else:
        setattr(target, name, getattr(source, name))


def _is_writable(resource: Message, path: str, writable: Sequence[str]) -> bool:
    first, *rest = path.split(".")
    if first not in writable:
        return False
    descriptor = resource.DESCRIPTOR.fields_by_name[first]
    for name in rest:
        inner = descriptor.message_type
        if descriptor.is_repeated or inner is None or name not in inner.fields_by_name:
            return False
        if inner.full_name.startswith(WELL_KNOWN):  # a Duration or a Struct is one value
            return False
        descriptor = inner.fields_by_name[name]
    return True


def etag_of(revision: int) -> str:
    """Returns the etag of a revision.

    >>> etag_of(3)
    '"3"'
    """
    return f'"{revision}"'


def require_etag(etag: str, revision: int, name: str) -> None:
    """Requires that a change was made to the current revision; an empty etag matches every revision.

    Raises:
        AbortedError: ETAG_MISMATCH.
    """
    if etag and etag != etag_of(revision):
        raise etag_mismatch(name, etag_of(revision))


def refuse_output_fields(
    problems: Problems, field: str, changes: Message, stored: Message, volatile: frozenset[str]
) -> None:
    """Adds the OUTPUT_ONLY fields that an update without a mask would change.

    A resource may be sent back as it was read; `volatile` fields may have changed since and are ignored.
    """
    unchanged = frozenset(
        name for name in output_only(changes) if name in volatile or getattr(changes, name) == getattr(stored, name)
    )
    problems.not_writable(field, changes, except_for=unchanged)
