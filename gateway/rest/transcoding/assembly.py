"""Assembles a request message from path, query, body and headers.

All parts become one JSON document, which is then parsed into the message once. Parsing each part separately and merging
the messages would need a rule for every field that occurs in two parts, would report the violations of the first part
only, and would lose the difference between a field that is absent and one that is set to its default, which presence
and update masks depend on. In the document a conflict is visible as a key that is already there, and one parser applies
the rules for names, types, unknown fields and limits to every part.
"""

from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.api.violations import got
from gateway.rest.transcoding.body import Body
from gateway.rest.transcoding.preconditions import Preconditions
from gateway.rest.transcoding.query import read_query
from gateway.rest.transcoding.routes import WHOLE, Route
from ordinaut.documents.json_text import malformed
from ordinaut.documents.reading import fill, named_field
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

UNCHANGEABLE = frozenset({field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER})
MASK = "update_mask"


def assemble(
    route: Route, values: dict[str, str], query: bytes, body: Body | None, conditions: Preconditions
) -> tuple[Message, list[Violation], Any]:
    """Returns the request message, the violations of all parts, and the document of the request.

    `values` are the variables of the path.

    If there are violations, the message contains what could be read.

    Raises:
        InvalidArgumentError: the body is malformed.
    """
    parameters, problems = read_query(query, route.request, route.body)
    document = _with_body(route, parameters, body)
    request = route.request_class()
    if isinstance(document, dict):
        for path, value in values.items():
            problems.extend(_bind(document, path, value))
        problems.extend(conditions.put(route, document))
        if route.verb == "PATCH" and MASK in route.request.fields_by_name and MASK not in document:
            document[MASK] = ",".join(_masked_fields(route, document.get(route.body)))
    problems.extend(fill(document, request))
    return request, problems, document


def _with_body(route: Route, parameters: dict[str, Any], body: Body | None) -> Any:
    if not route.body:
        if body is not None:
            raise InvalidArgumentError(
                ErrorReason.INVALID_REQUEST, f"{route.verb} of this path must be sent without a body"
            )
        return parameters
    document = None if body is None else body.document()
    if route.body == WHOLE:  # clients that have nothing to send send nothing, `{}` or `null`; required fields are
        return {} if document is None else document  # checked by the method, which names all that are missing
    if document is not None:
        parameters[route.body] = document
    elif field_behavior_pb2.REQUIRED in _behaviors(route.request.fields_by_name[route.body]):
        raise malformed(f"the body is empty; it must be {route.body} as JSON")
    return parameters


def _bind(document: dict[str, Any], path: str, value: str) -> Iterator[Violation]:
    """Sets the field of a path variable; the body may contain the same value."""
    *outer, name = path.split(".")
    inner: Any = document
    for step in outer:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):  # a value of a wrong type, which the parser refuses
            return
    received = inner.get(name, value)
    inner[name] = value
    if received != value:
        yield Violation(path, f"must equal the value in the path, {value!r} {got(str(received))}")


def _masked_fields(route: Route, resource: Any) -> Iterator[str]:
    """Yields the writable fields that a PATCH contains, set, cleared or misspelled. Source: AIP-134."""
    field = route.request.fields_by_name[route.body]
    for key in resource if isinstance(resource, dict) else ():
        changed = named_field(field.message_type, str(key), resource) if field.message_type else None
        if changed is not None and not UNCHANGEABLE & _behaviors(changed) and changed.name != "etag":
            yield changed.name


def _behaviors(field: FieldDescriptor) -> frozenset[int]:
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])
