"""Generates the OpenAPI operation of a route."""

import re
from collections.abc import Iterator

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor

from gateway.rest.openapi.comments import comments
from gateway.rest.openapi.errors import error_responses
from gateway.rest.openapi.examples import EXAMPLES
from gateway.rest.openapi.paths import readable
from gateway.rest.openapi.schemas import INTEGER, Schema, Schemas, behaviors
from gateway.rest.transcoding.query import TEXT_FORMS
from gateway.rest.transcoding.routes import WHOLE, Route
from gateway.rest.transcoding.streaming import EVENTS, LINES, RESUMES_AFTER
from ordinaut.v1.options_pb2 import scope as scope_option

SELF = "self"
BREAK = re.compile(r"[.;:] ")


def operation(route: Route, schemas: Schemas) -> Schema:
    """Returns the operation of a route."""
    method = route.method
    text = comments().get(method.full_name, "")
    scope = method.GetOptions().Extensions[scope_option]
    requirement = "Any valid token." if scope == SELF else f"Scope: `{scope}`."
    body = _body(route, schemas)
    return {
        "operationId": method.name,
        "tags": [tag_of(route)],
        "summary": _summary(text),
        "description": text.replace(" Errors: ", "\n\nErrors: ") + f"\n\n{requirement}",
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas), *_header_parameters(route)],
        **({"requestBody": body} if body else {}),
        "responses": {
            "200": {"description": _answer_text(route), "content": _content(route, schemas)},
            **error_responses(method.full_name, scoped=scope != SELF),
        },
    }


def tag_of(route: Route) -> str:
    """Returns the tag: the name of the service without `Service`."""
    return str(route.method.containing_service.name).removesuffix("Service")


def _summary(text: str) -> str:
    return BREAK.split(text.partition("Errors:")[0])[0].rstrip(". ")


def _path_parameters(route: Route) -> Iterator[Schema]:
    names = readable(route.template)[1]
    for name in names:
        note = {"description": "May contain slashes."} if "**" in route.template.text and name == names[-1] else {}
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}, **note}


def _query_parameters(route: Route, schemas: Schemas) -> Iterator[Schema]:
    if route.body == WHOLE:
        return
    bound = {route.body, *(path for path, _ in route.template.variables)}
    for field in route.request.fields:
        if field.name in bound or not _fits_query(field):
            continue
        parameter: Schema = {"name": field.name, "in": "query", "description": comments().get(field.full_name, "")}
        if field_behavior_pb2.REQUIRED in behaviors(field):
            parameter["required"] = True
        yield {**parameter, "schema": _query_schema(field, schemas)}


def _fits_query(field: FieldDescriptor) -> bool:
    return field.message_type is None or field.message_type.full_name in TEXT_FORMS


def _query_schema(field: FieldDescriptor, schemas: Schemas) -> Schema:
    single = schemas.single(field)
    if single.get("format") == "int64":
        single = {**INTEGER, "format": "int64", "examples": [42]}
    return {"type": "array", "items": single} if field.is_repeated else single


def _header_parameters(route: Route) -> Iterator[Schema]:
    fields = route.request.fields_by_name
    if "request_id" in fields:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}
    resource = fields.get(route.body)
    guarded = resource is not None and resource.message_type and "etag" in resource.message_type.fields_by_name
    if route.verb in {"PATCH", "DELETE", "PUT"} and ("etag" in fields or "revision" in fields or guarded):
        yield {"$ref": "#/components/parameters/IfMatch"}
    if RESUMES_AFTER in fields and route.method.server_streaming:
        yield {"$ref": "#/components/parameters/LastEventId"}


def _body(route: Route, schemas: Schemas) -> Schema:
    if not route.body:
        return {}
    if route.body == WHOLE:
        bound = frozenset(path for path, _ in route.template.variables)
        schema = schemas.object(route.request, leave_out=bound)
        required = "required" in schema
    else:
        field = route.request.fields_by_name[route.body]
        required = field_behavior_pb2.REQUIRED in behaviors(field)
        is_partial, resource = route.verb == "PATCH", field.message_type
        schema = schemas.patch(resource) if is_partial and resource else schemas.single(field)
    examples = EXAMPLES.get(route.method.name, {})
    listed = {"examples": {name: {"value": value} for name, value in examples.items()}} if examples else {}
    # YAML is accepted too. It is described in the introduction only, because client generators refuse or duplicate a
    # body with two content types.
    return {"required": required, "content": {"application/json": {"schema": schema, **listed}}}


def _answer_text(route: Route) -> str:
    if route.method.server_streaming:
        return "A stream of responses: one per line, or one per event with `Accept: text/event-stream`."
    return comments().get(route.method.output_type.full_name, "") or "Done."


def _content(route: Route, schemas: Schemas) -> Schema:
    schema = schemas.message(route.method.output_type)
    if route.method.server_streaming:
        return {LINES: {"schema": schema}, EVENTS: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": schema}}
