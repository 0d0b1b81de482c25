"""Creates a resource, or updates it to match a document."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from google.api import field_behavior_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from ordinaut.client import ApiError

Resource = TypeVar("Resource", bound=Message)
Outcome = Literal["created", "updated", "unchanged"]
ETAG = "etag"


@dataclass(frozen=True)
class Verbs:
    """The calls for one type of resource."""

    get: Callable[[str], Awaitable[Any]]
    create: Callable[[Any], Awaitable[Any]]
    update: Callable[[Any, FieldMask], Awaitable[Any]]


async def apply(resource: Resource, verbs: Verbs) -> tuple[Resource, Outcome]:
    """Creates the resource, or replaces all its writable fields; fields missing in the document are cleared.

    Raises:
        ApiError: the gateway rejected the change.
    """
    name = str(getattr(resource, "name"))  # noqa: B009 - every resource has it; the type Message does not
    try:
        before = await verbs.get(name)
    except ApiError as error:
        if error.code != "NOT_FOUND":
            raise
        return await verbs.create(resource), "created"
    fields = writable_fields(resource)
    after = await verbs.update(resource, FieldMask(paths=fields))
    same = all(getattr(before, field) == getattr(after, field) for field in fields)
    return after, "unchanged" if same else "updated"


def writable_fields(message: Message) -> list[str]:
    """The names of the fields that a caller may set: no output-only fields, no identifier."""
    return [field.name for field in message.DESCRIPTOR.fields if field.name != ETAG and _is_writable(field)]


def without_output(document: dict[str, Any], message: Message) -> dict[str, Any]:
    """The document without output-only fields, so that the output of `get` can be applied."""
    output = {
        spelling
        for field in message.DESCRIPTOR.fields
        if field_behavior_pb2.OUTPUT_ONLY in _behaviours(field)
        for spelling in (field.name, field.json_name)
    }
    return {key: value for key, value in document.items() if key not in output}


def _is_writable(field: Any) -> bool:
    return not {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER} & set(_behaviours(field))


def _behaviours(field: Any) -> list[int]:
    return list(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])
