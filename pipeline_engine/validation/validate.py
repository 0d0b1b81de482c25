"""The engine's validation RPCs: of pipelines, tools and values. Invalid input is reported, never raised."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ordinaut.errors import Violation
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1 import violation_pb2
from ordinaut.v1 import error_pb2
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.payload import PayloadError, read
from pipeline_engine.data.schemas import errors_of, problems_of, schema_problems, schema_warnings
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.inputs import place_of, repair, value_at
from pipeline_engine.language.parse import parse
from pipeline_engine.tools.checks.registration import tool_violations, tool_warnings
from pipeline_engine.validation.context import ValidationContext
from pipeline_engine.validation.pipeline import check, tools_of


def validate_pipeline(request: engine_pb2.ValidatePipelineRequest) -> engine_pb2.ValidatePipelineResponse:
    """Returns every problem of a pipeline and its params, and the normalised document if it could be parsed."""
    findings = Findings()
    document = parse(request.pipeline, findings)
    own_params = document.params if document is not None else None
    params = _read(request.params, Place("params", "/params"), findings) if request.params else own_params
    schema = _params_schema(request.params_schema, findings)
    _check_params(params, schema, findings)
    answer = engine_pb2.ValidatePipelineResponse()
    if document is not None:
        check(document, _context(request, params, schema), findings)
        answer.pipeline = orjson.dumps(document.to_json(), option=orjson.OPT_SORT_KEYS)
        answer.tools.extend(tools_of(document))
    answer.violations.extend(to_proto(findings.violations))
    answer.warnings.extend(findings.warnings)
    answer.warning_fixes.extend(to_proto(findings.warning_fixes))
    return answer


def _context(request: engine_pb2.ValidatePipelineRequest, params: Any, schema: Any) -> ValidationContext:
    tools = {tool["name"]: tool for tool in map(_tool, request.tools) if tool}
    properties = schema.get("properties") if isinstance(schema, dict) else None
    names = [*(params if isinstance(params, dict) else ()), *(properties if isinstance(properties, dict) else ())]
    closed = isinstance(schema, dict) and schema.get("additionalProperties") is False
    return ValidationContext(tools, list(request.tool_names), list(dict.fromkeys(names)), closed, schema)


def _tool(text: bytes) -> Mapping[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("name"), str) else None


def _read(text: bytes, place: Place, findings: Findings) -> Any:
    try:
        return read(text)
    except PayloadError as error:
        reason = ErrorReason.TOO_LARGE if error.too_large else ErrorReason.FIELD_INVALID
        findings.problem(place, str(error), reason)
        return None


def _params_schema(text: bytes, findings: Findings) -> Any:
    place = Place("params_schema", "/params_schema")
    schema = _read(text, place, findings) if text else None
    if schema is None:
        return None
    problems = schema_problems(schema)
    for where, message in problems:
        findings.problem(place.below(where), message, ErrorReason.INVALID_SCHEMA)
    if problems:
        return None
    for where, message in schema_warnings(schema):
        findings.warn(place.below(where), message)
    return schema


def _check_params(params: Any, schema: Any, findings: Findings) -> None:
    place = Place("params", "/params")
    if params is not None and not isinstance(params, dict):
        findings.problem(place, f"`params` must be an object, not {kind_of(params)}", ErrorReason.FIELD_INVALID)
    elif schema is not None and params is not None:
        for where, message in problems_of(schema, params):
            findings.problem(place.below(where), message, ErrorReason.FIELD_INVALID)


def validate_tool(request: engine_pb2.ValidateToolRequest, *, has_keys: bool = True) -> engine_pb2.ValidateToolResponse:
    """Returns every reason why a tool cannot be registered, and warnings about one that can."""
    findings = Findings()
    value = _read(request.tool, Place(), findings)
    violations = findings.violations or tool_violations(value, has_keys=has_keys)
    warnings = [] if violations else tool_warnings(value)
    return engine_pb2.ValidateToolResponse(violations=to_proto(violations), warnings=warnings)


def validate_value(request: engine_pb2.ValidateValueRequest) -> engine_pb2.ValidateValueResponse:
    """Returns every problem of a value, with repairs."""
    findings = Findings()
    schema = _read(request.schema, Place("schema", ""), findings)
    value = _read(request.value, Place(), findings)
    for where, message in schema_problems(schema if schema is not None else True):
        findings.problem(Place("schema", "").below(where), message, ErrorReason.INVALID_SCHEMA)
    if not findings.violations and schema is not None:
        for error in errors_of(schema, value):
            place = place_of(Place(), error.path)
            fix = repair(error, value_at(value, error.path), place, schema)
            findings.problem(place, error.message, ErrorReason.FIELD_INVALID, fix)
    return engine_pb2.ValidateValueResponse(violations=to_proto(findings.violations))


def to_proto(violations: Iterable[Violation]) -> list[violation_pb2.Violation]:
    """Converts violations to internal protobuf messages."""
    return [_violation(violation) for violation in violations]


def _violation(violation: Violation) -> violation_pb2.Violation:
    message = violation_pb2.Violation(field=violation.field, message=violation.message, reason=violation.reason)
    if violation.repair is not None:
        fix = error_pb2.Fix(explanation=violation.repair.explanation, field=violation.field)
        for operation in violation.repair.operations:
            fix.operations.add().update(dict(operation))
        message.fix.CopyFrom(fix)
    return message
