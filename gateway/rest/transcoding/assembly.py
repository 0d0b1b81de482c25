"""Assembles a request message from path, query, body and headers.

All parts become one JSON document, which is then parsed into the message once. Parsing each part separately and merging
the messages would need a rule for every field that occurs in two parts, would report the violations of the first part
only, and would lose the difference between a field that is absent and one that is set to its default, which presence
and update masks depend on. In the document a conflict is visible as a key that is already there, and one parser applies
the rules for names, types, unknown fields and limits to every part.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.message import Message

from gateway.api.rehearsal import Sent
from gateway.api.violations import got
from gateway.rest.transcoding.body import Body
from gateway.rest.transcoding.merge_patch import behaviors, changed_paths, without_nulls
from gateway.rest.transcoding.preconditions import Preconditions
from gateway.rest.transcoding.query import read_query
from gateway.rest.transcoding.routes import WHOLE, Route
from ordinaut.documents.json_text import malformed
from ordinaut.documents.reading import fill
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

MASK = "update_mask"


def assemble(
    route: Route, values: dict[str, str], query: bytes, body: Body | None, conditions: Preconditions
) -> tuple[Message, list[Violation], Sent]:
    """Returns the request message, the violations of all parts, and the document of the request.

    `values` are the variables of the path.

    If there are violations, the message contains what could be read.

    Raises:
        InvalidArgumentError: the body is malformed.
    """
    parameters, problems = read_query(query, route.request, route.body)
    document = _with_body(route, parameters, body)
    if isinstance(document, dict):
        for path, value in values.items():
            problems.extend(_bind(document, path, value))
        problems.extend(conditions.put(route, document))
    reading = partial(read_document, route)
    request, unread = reading(document)
    return request, [*problems, *unread], Sent(document, reading)


def read_document(route: Route, document: Any) -> tuple[Message, list[Violation]]:
    """Reads the document of a request; returns the message and the violations of what could not be read."""
    request = route.request_class()
    merged = dict(document) if isinstance(document, dict) else document
    paths = _merge(route, merged)
    problems = fill(merged, request)
    if paths:
        getattr(request, MASK).paths.extend(paths)
    return request, problems


def _merge(route: Route, document: Any) -> list[str]:
    """Makes the body of a PATCH without a mask a merge patch, and returns its mask."""
    names = route.request.fields_by_name
    if route.verb != "PATCH" or MASK not in names or not isinstance(document, dict) or MASK in document:
        return []
    resource = names[route.body].message_type
    paths = changed_paths(resource, document.get(route.body))
    if route.body in document:
        document[route.body] = without_nulls(resource, document[route.body])
    return paths


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
    elif field_behavior_pb2.REQUIRED in behaviors(route.request.fields_by_name[route.body]):
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
