"""Field masks and etags of updates. Source: AIP-134, AIP-154, AIP-161, RFC 7396."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from gateway.api.errors import etag_mismatch
from gateway.api.mask_paths import MERGE, MaskPath, parse_path
from gateway.api.violations import Problems, is_set, output_only
from ordinaut.v1.error_pb2 import ErrorReason

EVERYTHING = "*"
WELL_KNOWN = "google.protobuf."
FREE_JSON = "google.protobuf.Struct"
NEVER = frozenset({"name", "etag"})
Resource = TypeVar("Resource", bound=Message)


def masked_paths(problems: Problems, changes: Message, mask: FieldMask) -> list[str]:
    """Returns the paths that an update changes: those of the mask, or without a mask those of all writable values set.

    `*` means every writable field. Paths that do not exist or cannot be changed become problems.

    >>> from ordinaut.v1.task_pb2 import RunPolicy, Task
    >>> changes, problems = Task(description="new", run_policy=RunPolicy(priority=3)), Problems()
    >>> masked_paths(problems, changes, FieldMask())
    ['description', 'run_policy.priority']
    >>> masked_paths(problems, changes, FieldMask(paths=["run_policy.priority", "state"]))
    ['run_policy.priority', 'state']
    >>> problems.violations[0].message
    "'state' is not a writable field; writable fields: display_name, description, labels, ..."
    """
    writable = writable_fields(changes)
    if not mask.paths:
        return [path for path in _set_values(changes) if path.partition(".")[0] in writable]
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

    A path may lead into a message, a map or free JSON. One that ends with `.*` changes only what `changes` has set
    below it (RFC 7396).

    >>> from ordinaut.v1.task_pb2 import Task
    >>> task = apply(Task(description="old", labels={"a": "b"}), Task(description="new"), ["description", "labels"])
    >>> task.description, dict(task.labels)
    ('new', {})
    >>> dict(apply(Task(labels={"a": "1", "b": "2"}), Task(labels={"b": "3"}), ["labels.*", "labels.a"]).labels)
    {'b': '3'}
    """
    result = type(stored)()
    result.CopyFrom(stored)
    for path in paths:
        if parsed := parse_path(path):
            _change(changes, result, parsed)
    return result


def _change(source: Message, target: Message, path: MaskPath) -> None:
    """Changes one path. FieldMask.MergeMessage does not clear fields of a message that is unset in the source."""
    for place, name in enumerate(path.names):
        field, rest = source.DESCRIPTOR.fields_by_name[name], path.names[place + 1 :]
        if not rest or is_map(field) or is_free_json(field):
            _change_value(source, target, field, MaskPath(rest, path.merges))
            return
        if not is_set(source, name) and not is_set(target, name):
            return
        source, target = getattr(source, name), getattr(target, name)


def _change_value(source: Message, target: Message, field: Any, path: MaskPath) -> None:
    if path.names:
        old, new = getattr(target, field.name), getattr(source, field.name)
        if is_map(field):
            _change_entry(new, old, path.names[0])
        else:
            _change_json(new, old, path)
    elif path.merges:
        _merge_field(source, target, field)
    else:
        _replace(source, target, field)


def _change_entry(source: Any, target: Any, key: str) -> None:
    """Changes one entry of a map of scalars."""
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _change_json(source: Any, target: Any, path: MaskPath) -> None:
    """Changes one member of free JSON; objects on the way are created if there is a value to set."""
    key, *rest = path.names
    if not rest and path.merges and key in source.fields:
        _merge_value(source.fields[key], target.fields[key])
    elif not rest and key in source.fields:
        target.fields[key].CopyFrom(source.fields[key])
    elif not rest and not path.merges:
        target.fields.pop(key, None)
    elif rest and _is_object(source, key):
        if not _is_object(target, key):
            target.fields[key].struct_value.Clear()
        _change_json(
            source.fields[key].struct_value, target.fields[key].struct_value, MaskPath(tuple(rest), path.merges)
        )
    elif rest and _is_object(target, key):
        _change_json(type(target)(), target.fields[key].struct_value, MaskPath(tuple(rest), path.merges))


def _is_object(struct: Any, key: str) -> bool:
    return key in struct.fields and struct.fields[key].WhichOneof("kind") == "struct_value"


def _merge_field(source: Message, target: Message, field: Any) -> None:
    if not is_set(source, field.name):
        return
    old, new = getattr(target, field.name), getattr(source, field.name)
    if is_map(field):
        old.update(new)
    elif is_free_json(field):
        old.SetInParent()
        _merge_json(new, old)
    elif is_message(field):
        old.SetInParent()
        for inner, _ in new.ListFields():
            _merge_field(new, old, inner)
    else:
        _replace(source, target, field)


def _merge_json(source: Any, target: Any) -> None:
    for key, value in source.fields.items():
        _merge_value(value, target.fields[key])


def _merge_value(source: Any, target: Any) -> None:
    if source.WhichOneof("kind") != "struct_value":
        target.CopyFrom(source)
        return
    target.struct_value.SetInParent()
    _merge_json(source.struct_value, target.struct_value)


def _replace(source: Message, target: Message, field: Any) -> None:
    target.ClearField(field.name)
    if not is_set(source, field.name):
        return
    if field.is_repeated:
        getattr(target, field.name).MergeFrom(getattr(source, field.name))
    elif field.message_type is not None:
        getattr(target, field.name).CopyFrom(getattr(source, field.name))
        getattr(target, field.name).SetInParent()  # an empty message is not an unset one
    else:
        setattr(target, field.name, getattr(source, field.name))


def _set_values(message: Message, prefix: str = "") -> Iterator[str]:
    """Yields the paths of the values that are set; lists, maps and free JSON are one value."""
    for field, value in message.ListFields():
        path = prefix + field.name
        if not is_message(field):
            yield path
        elif not value.ListFields():
            yield path + MERGE
        else:
            yield from _set_values(value, f"{path}.")


def is_map(field: Any) -> bool:
    """Whether a field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def is_free_json(field: Any) -> bool:
    """Whether a field is a JSON object of any form."""
    kind = field.message_type
    return kind is not None and not field.is_repeated and bool(kind.full_name == FREE_JSON)


def is_message(field: Any) -> bool:
    """Whether a field is a message with fields of its own; a Duration or a Timestamp is one value."""
    kind = field.message_type
    return kind is not None and not field.is_repeated and not kind.full_name.startswith(WELL_KNOWN)


def _is_writable(resource: Message, path: str, writable: Sequence[str]) -> bool:
    parsed = parse_path(path)
    if parsed is None or parsed.names[0] not in writable:
        return False
    descriptor: Any = resource.DESCRIPTOR
    for place, name in enumerate(parsed.names):
        field = descriptor.fields_by_name.get(name)
        if field is None:
            return False
        rest = parsed.names[place + 1 :]
        if is_free_json(field):
            return True
        if is_map(field):
            return len(rest) + parsed.merges <= 1
        if not is_message(field):
            return not rest and not parsed.merges
        descriptor = field.message_type
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
