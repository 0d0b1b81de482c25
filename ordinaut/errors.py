"""Errors of the public API as exceptions: one class per `google.rpc.Code`, each with a reason and metadata.

`ordinaut.rpc.status` converts an error to `google.rpc.Status`. This module uses the numbers of `google.rpc.Code` and
does not depend on gRPC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from google.rpc.code_pb2 import Code

from ordinaut.v1.error_pb2 import ErrorReason


class StartError(RuntimeError):
    """A process cannot start, for a reason that its operator can remove; the message is one line."""


@dataclass(frozen=True, slots=True)
class Repair:
    """JSON Patch operations (RFC 6902) on the request as it was sent; applying them removes one violation."""

    explanation: str
    operations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Violation:
    """One problem of a request: `field` is a path into it, such as `task.pipeline.steps[2].if`."""

    field: str
    message: str
    reason: ErrorReason.ValueType = ErrorReason.FIELD_INVALID
    repair: Repair | None = None


@dataclass
class OrdinautError(Exception):
    """Base class of the errors that are sent to the caller.

    `facts` become the metadata of ErrorInfo, as text; `retry_after` (seconds) becomes RetryInfo.
    """

    reason: ErrorReason.ValueType
    message: str
    facts: Mapping[str, object] = field(default_factory=dict)
    violations: Sequence[Violation] = ()
    retry_after: float | None = None

    code: ClassVar[int] = Code.Value("UNKNOWN")

    def __str__(self) -> str:
        """Code, reason and message in one line, for logs."""
        return f"{Code.Name(self.code)} {ErrorReason.Name(self.reason)}: {self.message}"


class InvalidArgumentError(OrdinautError):
    """The request is invalid, independent of the state of the system."""

    code = Code.Value("INVALID_ARGUMENT")

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> "InvalidArgumentError":
        """One error for all violations of a request; its reason is theirs if they share one, else INVALID_REQUEST."""
        reasons = {violation.reason for violation in violations}
        reason = reasons.pop() if len(reasons) == 1 else ErrorReason.INVALID_REQUEST
        count = f"{len(violations)} problems: " if len(violations) > 1 else ""
        text = "; ".join(f"{violation.field}: {violation.message}" for violation in violations[:3])
        ellipsis = "; …" if len(violations) > 3 else ""
        return cls(reason, f"{count}{text}{ellipsis}", violations=violations)


class UnauthenticatedError(OrdinautError):
    """The caller has not authenticated."""

    code = Code.Value("UNAUTHENTICATED")


class PermissionDeniedError(OrdinautError):
    """The caller is authenticated but lacks the permission."""

    code = Code.Value("PERMISSION_DENIED")


class NotFoundError(OrdinautError):
    """The resource does not exist, or the caller may not see it."""

    code = Code.Value("NOT_FOUND")

    @classmethod
    def of(cls, name: str) -> "NotFoundError":
        """The resource of that name."""
        return cls(
            ErrorReason.RESOURCE_NOT_FOUND,
            f"{name} does not exist or is not visible to this caller",
            {"resource": name},
        )


class AlreadyExistsError(OrdinautError):
    """A resource with this name already exists."""

    code = Code.Value("ALREADY_EXISTS")


class FailedPreconditionError(OrdinautError):
    """The state of the system does not allow the call; a retry does not help."""

    code = Code.Value("FAILED_PRECONDITION")


class AbortedError(OrdinautError):
    """A concurrent change won; read the resource again and retry."""

    code = Code.Value("ABORTED")


class OutOfRangeError(OrdinautError):
    """A position outside the retained range."""

    code = Code.Value("OUT_OF_RANGE")


class ResourceExhaustedError(OrdinautError):
    """A limit or quota is reached."""

    code = Code.Value("RESOURCE_EXHAUSTED")


class UnavailableError(OrdinautError):
    """Part of the system is unreachable; a retry of the same call may succeed."""

    code = Code.Value("UNAVAILABLE")


class DeadlineExceededError(OrdinautError):
    """The deadline of the call expired."""

    code = Code.Value("DEADLINE_EXCEEDED")


class UnimplementedError(OrdinautError):
    """The method does not exist."""

    code = Code.Value("UNIMPLEMENTED")


class InternalError(OrdinautError):
    """An unexpected error; the caller receives an id, the log has the details."""

    code = Code.Value("INTERNAL")
