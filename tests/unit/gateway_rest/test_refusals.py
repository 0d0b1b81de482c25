"""Failures over HTTP: the status that fits, the details as they are, and no word about defects."""

from typing import Any

import grpc
import orjson
import pytest
from google.rpc.code_pb2 import Code

from gateway.authentication.client_address import client_address, source_metadata, user_agent
from gateway.rest.errors import HTTP_STATUS, error_response
from ordinaut.errors import (
    AbortedError,
    OrdinautError,
    Repair,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    Violation,
)
from ordinaut.errors import InvalidArgumentError as Invalid
from ordinaut.rpc.status import DETAILS_KEY, to_status
from ordinaut.v1.error_pb2 import ErrorReason


def failed(code: grpc.StatusCode, error: OrdinautError | None = None) -> grpc.aio.AioRpcError:
    """A failed call, with the status of `error` in its trailing metadata."""
    trailing = ((DETAILS_KEY, to_status(error).SerializeToString()),) if error else ()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details="secret words")


def told(body: bytes) -> dict[str, Any]:
    error: dict[str, Any] = orjson.loads(body)["error"]
    return error


def test_every_code_has_a_status() -> None:
    assert set(HTTP_STATUS) == set(Code.values()) - {Code.Value("OK")}


def test_details_have_field_names() -> None:
    """Violations, fixes and all, with the protos' field names."""
    repair = Repair("write b", [{"op": "replace", "path": "/a", "value": "b"}])
    error = Invalid.of([Violation("a", "is wrong", ErrorReason.FIELD_INVALID, repair)])
    answer = error_response(failed(grpc.StatusCode.INVALID_ARGUMENT, error))
    info, request, fix = told(answer.body)["details"]
    assert (answer.status, info["reason"]) == (400, "FIELD_INVALID")
    assert request["field_violations"] == [{"field": "a", "description": "is wrong", "reason": "FIELD_INVALID"}]
    assert fix["operations"] == [{"op": "replace", "path": "/a", "value": "b"}]


@pytest.mark.parametrize(
    ("error", "conditional", "status"),
    [
        (AbortedError(ErrorReason.ETAG_MISMATCH, ""), True, 412),
        (AbortedError(ErrorReason.ETAG_MISMATCH, ""), False, 409),
        (AbortedError(ErrorReason.REQUEST_IN_PROGRESS, ""), True, 409),
        (ResourceExhaustedError(ErrorReason.TOO_LARGE, ""), False, 413),
        (ResourceExhaustedError(ErrorReason.LIMIT_REACHED, ""), False, 429),
    ],
)
def test_one_code_may_have_two_statuses(error: OrdinautError, conditional: bool, status: int) -> None:
    assert error_response(error, conditional=conditional).status == status


@pytest.mark.parametrize(("seconds", "header"), [(0.2, "1"), (1.0, "1"), (1.2, "2")])
def test_retry_after(seconds: float, header: str) -> None:
    """In whole seconds, never less than what is asked for."""
    error = UnavailableError(ErrorReason.STORE_UNAVAILABLE, "", retry_after=seconds)
    assert error_response(error).headers["retry-after"] == header


def test_an_unauthenticated_response_names_the_scheme() -> None:
    answer = error_response(UnauthenticatedError(ErrorReason.TOKEN_INVALID, ""))
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 413, "TOO_LARGE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "DEADLINE"),
        (grpc.StatusCode.UNAVAILABLE, 503, "CALL_CANCELLED"),
        (grpc.StatusCode.CANCELLED, 503, "CALL_CANCELLED"),
        (grpc.StatusCode.UNKNOWN, 500, "INTERNAL_ERROR"),
    ],
)
def test_errors_of_grpc_itself(code: grpc.StatusCode, status: int, reason: str) -> None:
    """Its own errors carry no details; none of its words reach the caller."""
    answer = error_response(failed(code))
    assert (answer.status, told(answer.body)["details"][0]["reason"]) == (status, reason)
    assert b"secret words" not in answer.body


def test_an_internal_error_reveals_only_an_id() -> None:
    answer = error_response(KeyError("secret words"))
    assert answer.status == 500
    assert told(answer.body)["details"][0]["metadata"]["error_id"] in told(answer.body)["message"]
    assert b"secret words" not in answer.body


class Context:
    """What of a call the source is read from."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:10.0.0.9:1234"


def test_only_this_process_can_set_the_client_address() -> None:
    """A caller over gRPC that claims to be somebody else is itself."""
    shown: Any = Context(*source_metadata("192.0.2.7", "curl/8"))
    spoofed: Any = Context(("ordinaut-source", "192.0.2.7"), ("ordinaut-source-proof", "0" * 32))
    plain: Any = Context()
    assert [client_address(context) for context in (shown, spoofed, plain)] == [
        "192.0.2.7",
        "10.0.0.9",
        "10.0.0.9",
    ]
    assert [user_agent(context) for context in (shown, spoofed, plain)] == ["curl/8", "", ""]
