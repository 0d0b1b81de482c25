"""Reads query parameters as fields of the request: dotted paths, repeated for lists, in snake or camel case."""

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
    """Returns the parameters as a document of the request's type, and their violations.

    `bound` is the field in the body, `*` if the body is the whole request; parameters cannot set fields in the body.

    Raises:
        InvalidArgumentError: there are more than a hundred parameters, or they are not percent-encoded UTF-8.
    """
    document: dict[str, Any] = {}
    problems: list[Violation] = []
    for name, text in _pairs(query):
        fields = "in_body" if bound == "*" else _fields(request, name)
        if isinstance(fields, str):
            problems.append(Violation(name, _MESSAGES[fields], ErrorReason.UNKNOWN_FIELD))
        elif fields[0].name == bound:
            problems.append(Violation(name, _MESSAGES["in_body"], ErrorReason.UNKNOWN_FIELD))
        else:
            problems.extend(_put(document, fields, text))
    return document, problems


_MESSAGES: Mapping[str, str] = {
    "unknown": "unknown query parameter",
    "in_body": "must be sent in the body, not as a query parameter",
    "structured": "must be sent in a body: it is not a single value",
}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except UnicodeDecodeError:
        text = "the query parameters must be percent-encoded UTF-8"
        raise InvalidArgumentError(ErrorReason.INVALID_UNICODE, text) from None
    except ValueError:
        text = f"the request must have at most {PARAMETERS_MAX} query parameters"
        raise InvalidArgumentError(ErrorReason.TOO_LARGE, text) from None


def _fields(request: Descriptor, name: str) -> tuple[FieldDescriptor, ...] | str:
    """Returns the fields on the path of a parameter, or the key of a message if it is not a parameter."""
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
        yield Violation(path, "must be set once: it is not a list", ErrorReason.DUPLICATE_KEY)
    else:
        document[field.name] = typed(text, field)


def typed(text: str, field: FieldDescriptor) -> Any:
    """Converts text to a JSON value of the field's type; other text is returned unchanged and refused by the parser."""
    if field.message_type is not None and field.message_type.full_name in WRAPPERS:
        field = field.message_type.fields_by_name["value"]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return TRUTH.get(text, text)
    if field.type in SMALL_INTEGERS and INTEGER.fullmatch(text):
        return int(text)
    if field.type in FLOATS and NUMBER.fullmatch(text):
        return float(text)
    return text
