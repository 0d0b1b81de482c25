"""Errors as `google.rpc.Status`, and back. Source: AIP-193."""

from google.protobuf import any_pb2, duration_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2, status_pb2

from ordinaut.errors import OrdinautError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason, Fix

DOMAIN = "ordinaut"
DETAILS_KEY = "grpc-status-details-bin"


def to_status(error: OrdinautError) -> status_pb2.Status:
    """Exactly one ErrorInfo, then the violations, their fixes and the time to wait."""
    details: list[any_pb2.Any] = [_pack(_info(error))]
    if error.violations:
        details.append(_pack(_bad_request(error)))
        details.extend(_pack(_fix(v.field, v.repair)) for v in error.violations if v.repair)
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.code, message=error.message, details=details)


def violation_of(field: str, message: str, reason: ErrorReason.ValueType, fix: Fix | None) -> Violation:
    """A violation that another process found, as our own."""
    repair = None
    if fix is not None and fix.operations:
        operations = [json_format.MessageToDict(operation) for operation in fix.operations]
        repair = Repair(fix.explanation, operations)
    return Violation(field, message, reason, repair)


def _info(error: OrdinautError) -> error_details_pb2.ErrorInfo:
    facts = {key: str(value) for key, value in error.facts.items()}
    return error_details_pb2.ErrorInfo(reason=ErrorReason.Name(error.reason), domain=DOMAIN, metadata=facts)


def _bad_request(error: OrdinautError) -> error_details_pb2.BadRequest:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=v.field, description=v.message, reason=ErrorReason.Name(v.reason)
        )
        for v in error.violations
    ]
    return error_details_pb2.BadRequest(field_violations=violations)


def _fix(field: str, repair: Repair) -> Fix:
    operations = []
    for operation in repair.operations:
        struct = struct_pb2.Struct()
        json_format.ParseDict(dict(operation), struct)
        operations.append(struct)
    return Fix(explanation=repair.explanation, field=field, operations=operations)


def _pack(message: object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)  # type: ignore[arg-type]  # every caller passes a message
    return packed
