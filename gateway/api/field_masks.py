"""What an update changes and of which revision: field masks and etags. Source: AIP-134, AIP-154, AIP-161."""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from gateway.api.violations import Problems, is_set, output_only
from ordinaut.errors import AbortedError
from ordinaut.v1.error_pb2 import ErrorReason

EVERYTHING = "*"
WELL_KNOWN = "google.protobuf."
NEVER = frozenset({"name", "etag"})
Resource = TypeVar("Resource", bound=Message)


def masked_paths(problems: Problems, changes: Message, mask: FieldMask) -> list[str]:
    """The paths that an update changes: the mask's, or without one every writable field that is set.

    `*` stands for every writable field. Paths that do not exist or cannot be changed become problems.
    """
    writable = writable_fields(changes)
    if not mask.paths:
        return [field.name for field, _ in changes.ListFields() if field.name in writable]
    if list(mask.paths) == [EVERYTHING]:
        return writable
    paths = [path for path in dict.fromkeys(mask.paths) if path.split(".")[0] not in NEVER]
    for path in paths:
        if not _is_writable(changes, path, writable):
            problems.add(
                "update_mask",
                f"{path!r} is no writable field; there are {', '.join(writable)}",
                ErrorReason.FIELD_MASK_INVALID,
            )
    return paths


def writable_fields(resource: Message) -> list[str]:
    """The names of the fields that callers may change."""
    closed = NEVER.union(output_only(resource))
    return [field.name for field in resource.DESCRIPTOR.fields if field.name not in closed]


def apply(stored: Resource, changes: Resource, paths: Sequence[str]) -> Resource:
    """A copy of `stored` in which every path has the value it has in `changes`, unset where it is unset there."""
    result = type(stored)()
    result.CopyFrom(stored)
    for path in paths:
        _replace(changes, result, path.split("."))
    return result


def _replace(source: Message, target: Message, path: Sequence[str]) -> None:
    """FieldMask.MergeMessage does not clear what lies in a message that is unset in the source."""
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
    """What stands for a revision in answers."""
    return f'"{revision}"'


def require_etag(shown: str, revision: int, name: str) -> None:
    """Lets a change pass that was made to the present revision, or that shows no etag.

    Raises:
        AbortedError: ETAG_MISMATCH.
    """
    if shown and shown != etag_of(revision):
        raise AbortedError(
            ErrorReason.ETAG_MISMATCH,
            f"{name} has changed since; read it again and repeat the change",
            {"resource": name, "etag": etag_of(revision)},
        )
