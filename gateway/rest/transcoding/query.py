"""Query parameters as fields of the request: dotted paths, repeated for lists, in either spelling."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ordinaut.documents.reading import WRAPPERS, find_field
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

PARAMETERS_MAX = 100
TEXT_FORMS = frozenset({"google.protobuf.Duration", "google.protobuf.Timestamp", "google.protobuf.FieldMask"})
INTEGER = re.compile(r"-?[0-9]{1,20}")
NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
TRUTH = {"true": True, "false": False}
SMALL_INTEGERS = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_SFIXED32,
        FieldDescriptor.TYPE_ENUM,
    }
)
FLOATS = frozenset({FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE})


def read_query(query: bytes, request: Descriptor, bound: str) -> tuple[dict[str, Any], list[Violation]]:
    """The parameters as a document of the request's type, and what is wrong with them.

    `bound` is the field that the body fills, `*` when it fills all of them: parameters cannot touch those.

    Raises:
        InvalidArgumentError: there are more than a hundred, or they are not UTF-8 in percent-encoding.
    """
    document: dict[str, Any] = {}
    problems: list[Violation] = []
    for name, text in _pairs(query):
        found = "unbound" if bound == "*" else _place(request, name)
        if isinstance(found, str):
            problems.append(Violation(name, _WHY[found], ErrorReason.UNKNOWN_FIELD))
        elif found[0].name == bound:
            problems.append(Violation(name, _WHY["unbound"], ErrorReason.UNKNOWN_FIELD))
        else:
            problems.extend(_put(document, found, text))
    return document, problems


_WHY: Mapping[str, str] = {
    "unknown": "there is no such parameter",
    "unbound": "belongs into the body",
    "structured": "is no single value: it belongs into a body",
}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except UnicodeDecodeError:
        text = "the parameters are not UTF-8 in percent-encoding"
        raise InvalidArgumentError(ErrorReason.INVALID_UNICODE, text) from None
    except ValueError:
        text = f"a request may have {PARAMETERS_MAX} parameters"
        raise InvalidArgumentError(ErrorReason.TOO_LARGE, text) from None


def _place(request: Descriptor, name: str) -> tuple[FieldDescriptor, ...] | str:
    """The fields that lead to a parameter's value, or why there are none."""
    fields: list[FieldDescriptor] = []
    descriptor: Descriptor | None = request
    for part in name.split("."):
        field = find_field(descriptor, part) if descriptor is not None else None
        if field is None:
            return "unknown"
        if fields and fields[-1].is_repeated:
            return "structured"
        fields.append(field)
        descriptor = field.message_type
    if descriptor is not None and descriptor.full_name not in TEXT_FORMS | WRAPPERS:
        return "structured"
    return tuple(fields)


def _put(document: dict[str, Any], fields: tuple[FieldDescriptor, ...], text: str) -> Iterator[Violation]:
    for field in fields[:-1]:
        document = document.setdefault(field.name, {})
    field = fields[-1]
    if field.is_repeated:
        document.setdefault(field.name, []).append(typed(text, field))
    elif field.name in document:
        path = ".".join(step.name for step in fields)
        yield Violation(path, "stands twice and is no list", ErrorReason.DUPLICATE_KEY)
    else:
        document[field.name] = typed(text, field)


def typed(text: str, field: FieldDescriptor) -> Any:
    """The text as the JSON value that it stands for; what stands for none stays a text, which is refused later."""
    if field.message_type is not None and field.message_type.full_name in WRAPPERS:
        field = field.message_type.fields_by_name["value"]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return TRUTH.get(text, text)
    if field.type in SMALL_INTEGERS and INTEGER.fullmatch(text):
        return int(text)
    if field.type in FLOATS and NUMBER.fullmatch(text):
        return float(text)
    return text
