"""Converts errors to `google.rpc.Status` and violations from it. Source: AIP-193."""

from collections.abc import Sequence
from dataclasses import replace

from google.protobuf import any_pb2, duration_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2, status_pb2

from ordinaut.documents.patch import rank
from ordinaut.errors import OrdinautError, Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason, Fix

DOMAIN = "ordinaut"
DETAILS_KEY = "grpc-status-details-bin"
# Clients reject trailers of more than 8 KiB, counted after base64 encoding. Details that do not fit are omitted.
MESSAGE_MAX = 500  # characters
TEXT_MAX = 300  # characters of one path or description
VIOLATIONS_MAX_BYTES = 3_000
DETAILS_MAX_BYTES = 5_000
OMITTED = "violations_omitted"


def to_status(error: OrdinautError) -> status_pb2.Status:
    """Returns a status with one ErrorInfo, then the violations, their fixes and the retry delay.

    If not all violations fit, `violations_omitted` of ErrorInfo holds the number of omitted ones; if not all fixes
    fit, those of the first violations are included.
    """
    included = _fitting(error.violations)
    details = [_pack(_info(error, len(error.violations) - len(included)))]
    if included:
        details.append(_pack(_bad_request(included)))
    remaining = DETAILS_MAX_BYTES - sum(detail.ByteSize() for detail in details)
    details.extend(_fixes(included, remaining))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status_pb2.Status(code=error.code, message=_cut(error.message, MESSAGE_MAX), details=details)


def _fixes(violations: Sequence[Violation], remaining: int) -> list[any_pb2.Any]:
    """The fixes of the first violations that fit into `remaining` bytes, in the order in which they are applied."""
    fitting: list[tuple[tuple[int, int], any_pb2.Any]] = []
    for violation in violations:
        if violation.repair is not None:
            fix = _pack(fix_of(violation.field, violation.repair))
            remaining -= fix.ByteSize()
            if remaining < 0:
                break
            fitting.append((rank(violation.repair.operations), fix))
    return [fix for _, fix in sorted(fitting, key=lambda ranked: ranked[0])]


def violation_of(field: str, message: str, reason: ErrorReason.ValueType, fix: Fix | None) -> Violation:
    """A violation that another service reported, as a `Violation`."""
    repair = None
    if fix is not None and fix.operations:
        operations = [json_format.MessageToDict(operation) for operation in fix.operations]
        repair = Repair(fix.explanation, operations)
    return Violation(field, message, reason, repair)


def _fitting(violations: Sequence[Violation]) -> list[Violation]:
    included, remaining = [], VIOLATIONS_MAX_BYTES
    for violation in violations:
        short = replace(violation, field=_cut(violation.field, TEXT_MAX), message=_cut(violation.message, TEXT_MAX))
        remaining -= _bad_request([short]).ByteSize()
        if remaining < 0:
            break
        included.append(short)
    return included


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _info(error: OrdinautError, omitted: int) -> error_details_pb2.ErrorInfo:
    facts = {key: _cut(str(value), TEXT_MAX) for key, value in error.facts.items()}
    if omitted:
        facts[OMITTED] = str(omitted)
    return error_details_pb2.ErrorInfo(reason=ErrorReason.Name(error.reason), domain=DOMAIN, metadata=facts)


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    field_violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=v.field, description=v.message, reason=ErrorReason.Name(v.reason)
        )
        for v in violations
    ]
    return error_details_pb2.BadRequest(field_violations=field_violations)


def fix_of(field: str, repair: Repair) -> Fix:
    """The repair as a `Fix` message."""
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
