"""One message out of path, query, body and headers: all parts become one document, which is read once."""

from collections.abc import Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.rest.transcoding.body import Body
from gateway.rest.transcoding.json_text import malformed
from gateway.rest.transcoding.preconditions import Preconditions
from gateway.rest.transcoding.query import read_query
from gateway.rest.transcoding.routes import WHOLE, Route
from ordinaut.documents.reading import fill, find_field
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

UNCHANGEABLE = frozenset({field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER})
MASK = "update_mask"


def assemble(
    route: Route, values: dict[str, str], query: bytes, body: Body | None, conditions: Preconditions
) -> Message:
    """The request of a call; `values` are the path's.

    Raises:
        InvalidArgumentError: with every problem of every part.
    """
    parameters, problems = read_query(query, route.request, route.body)
    document = _with_body(route, parameters, body)
    request = route.request_class()
    if isinstance(document, dict):
        for path, value in values.items():
            problems.extend(_bind(document, path, value))
        problems.extend(conditions.put(route, document))
        if route.verb == "PATCH" and MASK in route.request.fields_by_name and MASK not in document:
            document[MASK] = ",".join(_sent(route, document.get(route.body)))
    problems.extend(fill(document, request))
    if problems:
        raise InvalidArgumentError.of(problems)
    return request


def _with_body(route: Route, parameters: dict[str, Any], body: Body | None) -> Any:
    if not route.body:
        if body is not None:
            raise InvalidArgumentError(ErrorReason.INVALID_REQUEST, f"{route.verb} takes no body here")
        return parameters
    if route.body == WHOLE:
        return {} if body is None else body.document()
    if body is not None:
        parameters[route.body] = body.document()
    elif field_behavior_pb2.REQUIRED in _behaviors(route.request.fields_by_name[route.body]):
        raise malformed(f"the body is empty: send {route.body} as JSON")
    return parameters


def _bind(document: dict[str, Any], path: str, value: str) -> Iterator[Violation]:
    """Puts a path variable to its place; the body may repeat it, not contradict it."""
    *outer, name = path.split(".")
    inner: Any = document
    for step in outer:
        inner = inner.setdefault(step, {})
        if not isinstance(inner, dict):  # what stands there instead is refused as what it is
            return
    if inner.setdefault(name, value) != value:
        yield Violation(path, f"differs from the path, which says {value!r}")


def _sent(route: Route, resource: Any) -> Iterator[str]:
    """The changeable fields that a PATCH names, set or cleared. Source: AIP-134."""
    field = route.request.fields_by_name[route.body]
    for key in resource if isinstance(resource, dict) else ():
        named = find_field(field.message_type, str(key)) if field.message_type else None
        if named is not None and not UNCHANGEABLE & _behaviors(named) and named.name != "etag":
            yield named.name


def _behaviors(field: FieldDescriptor) -> frozenset[int]:
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])
