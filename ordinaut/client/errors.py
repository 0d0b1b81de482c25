"""`ApiError`, the exception of every failed call, with the violations and fixes of its status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException

from ordinaut.client.document import to_document
from ordinaut.documents.patch import rank
from ordinaut.rpc.status import DETAILS_KEY
from ordinaut.v1 import error_pb2


@dataclass(frozen=True, slots=True)
class Violation:
    """One problem of a request; `field` is a path in the request, such as `task.pipeline.steps[2].if`."""

    field: str
    message: str
    reason: str


class PatchError(ValueError):
    """The fix cannot be applied to this request."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair of the violation with the same `field`: JSON Patch operations on the JSON of the request."""

    explanation: str
    field: str
    operations: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, fix: error_pb2.Fix) -> "Fix":
        """Converts the message."""
        return cls(fix.explanation, fix.field, [to_document(operation) for operation in fix.operations])

    def apply(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a repaired copy of the JSON of the request (with proto field names).

        Raises:
            PatchError: the fix belongs to another request.
        """
        try:
            repaired: dict[str, Any] = JsonPatch(list(self.operations)).apply(request)
        except (JsonPatchException, JsonPointerException) as failure:
            raise PatchError(str(failure)) from failure
        return repaired


@dataclass
class ApiError(Exception):
    """A call was rejected or did not reach the gateway.

    `code` is a name of google.rpc.Code (`INVALID_ARGUMENT`). `reason` is a name of `ordinaut.v1.ErrorReason`, empty if
    the error does not come from a gateway. `retry_after` is in seconds.
    """

    code: str
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    fixes: Sequence[Fix] = ()
    retry_after: float | None = None

    @classmethod
    def of(cls, failure: grpc.aio.AioRpcError) -> "ApiError":
        """Converts the error of a gRPC call and the details of its status."""
        error = cls(failure.code().name, failure.details() or "")
        for key, value in failure.trailing_metadata() or ():
            if key == DETAILS_KEY and isinstance(value, bytes):
                error._read(value)
        return error

    def __str__(self) -> str:
        """Code, reason and message in one line."""
        return f"{self.code}{f' ({self.reason})' if self.reason else ''}: {self.message}"

    def apply_fixes(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a copy of the JSON of the request with all fixes applied in the order of the answer.

        Raises:
            PatchError: the error belongs to another request.
        """
        repaired = dict(request)
        for fix in sorted(self.fixes, key=lambda fix: rank(fix.operations)):  # as the gateway sends them
            repaired = fix.apply(repaired)
        return repaired

    def _read(self, details: bytes) -> None:
        try:
            status = status_pb2.Status.FromString(details)
        except DecodeError:  # not a google.rpc.Status
            return
        for detail in status.details:
            self._read_detail(detail)

    def _read_detail(self, detail: Any) -> None:
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry, fix = error_details_pb2.RetryInfo(), error_pb2.Fix()
        if detail.Unpack(info):
            self.reason, self.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(request):
            self.violations = [Violation(v.field, v.description, v.reason) for v in request.field_violations]
        elif detail.Unpack(retry):
            self.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(fix):
            self.fixes = [*self.fixes, Fix.of(fix)]
