"""Converts the pointers of fixes from the request message to the body that was sent.

The body of many methods is one field of the request, such as the task; its fixes begin at the root of that field. The
query parameters of a request without a body are its document. A fix outside the body is left out.
"""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from gateway.api.sent_names import POINTERS
from gateway.rest.transcoding.routes import WHOLE, Route
from ordinaut.documents.sent_pointer import sent_pointer
from ordinaut.v1.error_pb2 import Fix

Place = Callable[[Fix], Fix | None]
FIXES = "fixes"


def unplaced(fix: Fix) -> Fix | None:
    """Leaves a fix as it is: the request has no document."""
    return fix


def left_out(_fix: Fix) -> Fix | None:
    """Leaves out every fix: the document of the request is not available."""
    return None


def placed(fix: Fix, *, route: Route, document: Any) -> Fix | None:
    """The fix with pointers from the root of the body, in the spelling of the body; None if it is elsewhere."""
    operations = []
    for operation in fix.operations:
        converted = Struct()
        converted.CopyFrom(operation)
        for key in POINTERS:
            if key not in operation.fields:
                continue
            pointer = _in_body(sent_pointer(operation.fields[key].string_value, document, route.request), route)
            if pointer is None:
                return None
            converted.fields[key].string_value = pointer
        operations.append(converted)
    return Fix(explanation=fix.explanation, field=fix.field, operations=operations)


def _in_body(pointer: str, route: Route) -> str | None:
    if route.body in {"", WHOLE}:
        return pointer
    prefix = f"/{route.body}"
    return pointer[len(prefix) :] if pointer == prefix or pointer.startswith(f"{prefix}/") else None


def place_fixes(response: Message, place: Place) -> None:
    """Converts the fixes of the warnings in a response."""
    for field, value in response.ListFields():
        if field.name == FIXES and field.message_type is Fix.DESCRIPTOR:
            converted = [fix for fix in map(place, value) if fix is not None]
            del value[:]
            value.extend(converted)
        elif field.is_repeated and field.message_type is not None and FIXES in field.message_type.fields_by_name:
            for item in value:
                place_fixes(item, place)
