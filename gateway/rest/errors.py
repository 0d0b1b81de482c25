"""Converts errors to HTTP responses: `google.rpc.Status` as JSON (AIP-193) with the HTTP status of its code."""

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from ordinaut.errors import (
    DeadlineExceededError,
    InternalError,
    OrdinautError,
    ResourceExhaustedError,
    UnavailableError,
)
from ordinaut.rpc.status import DETAILS_KEY, to_status
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason, Fix

log = get_logger()
HTTP_STATUS: Mapping[int, int] = {
    Code.Value(name): status
    for name, status in (
        ("CANCELLED", 499),
        ("UNKNOWN", 500),
        ("INVALID_ARGUMENT", 400),
        ("DEADLINE_EXCEEDED", 504),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("PERMISSION_DENIED", 403),
        ("UNAUTHENTICATED", 401),
        ("RESOURCE_EXHAUSTED", 429),
        ("FAILED_PRECONDITION", 400),
        ("ABORTED", 409),
        ("OUT_OF_RANGE", 400),
        ("UNIMPLEMENTED", 501),
        ("INTERNAL", 500),
        ("UNAVAILABLE", 503),
        ("DATA_LOSS", 500),
    )
}
STALE = frozenset({"ETAG_MISMATCH", "REVISION_MISMATCH"})


@dataclass
class HttpError(Exception):
    """An error with an HTTP status that does not follow from its code."""

    status: int
    error: OrdinautError
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Status, headers, and body (JSON) of an error response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def error_response(
    failure: BaseException, *, conditional: bool = False, place: Callable[[Fix], Fix | None] | None = None
) -> ErrorResponse:
    """Returns the response to any failure; `conditional`: the caller sent a precondition, so a stale etag is 412.

    `place` converts the pointers of a fix to those of the body that was sent, or refuses the fix with None.
    """
    if isinstance(failure, HttpError):
        return _to_response(failure.status, to_status(failure.error), failure.headers)
    status = _status(failure)
    if place is not None:
        status = _with_placed_fixes(status, place)
    info = _info(status)
    http = HTTP_STATUS.get(status.code, 500)
    if conditional and info.reason in STALE:
        http = 412
    elif http == 429 and info.reason == ErrorReason.Name(ErrorReason.TOO_LARGE):
        http = 413
    return _to_response(http, status, {})


def _with_placed_fixes(status: status_pb2.Status, place: Callable[[Fix], Fix | None]) -> status_pb2.Status:
    details = []
    for detail in status.details:
        fix = Fix()
        if detail.Unpack(fix):
            converted = place(fix)
            if converted is None:
                continue
            detail.Pack(converted)
        details.append(detail)
    return status_pb2.Status(code=status.code, message=status.message, details=details)


def _to_response(http: int, status: status_pb2.Status, headers: Mapping[str, str]) -> ErrorResponse:
    all_headers = dict(headers)
    if (wait := _retry_seconds(status)) is not None:
        all_headers["retry-after"] = str(wait)
    if http == 401:
        all_headers["www-authenticate"] = 'Bearer realm="ordinaut"'
    return ErrorResponse(http, all_headers, _body(http, status))


def _body(http: int, status: status_pb2.Status) -> bytes:
    """Source: AIP-193, HTTP/1.1+JSON representation."""
    details = json_format.MessageToDict(status, preserving_proto_field_name=True).get("details", [])
    name = Code.Name(status.code)
    error = {"code": http, "message": status.message, "status": name, "details": details}
    return orjson.dumps({"error": error})


def _status(failure: BaseException) -> status_pb2.Status:
    if isinstance(failure, grpc.aio.AioRpcError):
        return _received_status(failure)
    if isinstance(failure, OrdinautError):
        return to_status(failure)
    error_id = secrets.token_hex(8)
    log.error("internal_error", error_id=error_id, exc_info=failure)
    return to_status(
        InternalError(ErrorReason.INTERNAL_ERROR, f"internal error (id {error_id})", {"error_id": error_id})
    )


def _received_status(failure: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Returns the status in the trailing metadata; errors of grpc itself lack it and are converted here."""
    for key, value in failure.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return to_status(ResourceExhaustedError(ErrorReason.TOO_LARGE, "the message must be at most 4 MiB"))
    if failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return to_status(DeadlineExceededError(ErrorReason.DEADLINE, "the deadline of the call has expired"))
    if failure.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
        return to_status(
            UnavailableError(ErrorReason.CALL_CANCELLED, "the call was interrupted; retry", retry_after=1.0)
        )
    return _status(RuntimeError(f"grpc answered {failure.code().name}: {failure.details()}"))


def _info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info


def _retry_seconds(status: status_pb2.Status) -> int | None:
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            seconds: float = retry.retry_delay.ToTimedelta().total_seconds()
            return max(1, math.ceil(seconds))
    return None
