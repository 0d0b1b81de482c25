"""What can go wrong for a caller, as exceptions: one class per code, a reason, and its facts.

A message and its metadata are made from the same keywords, so they cannot disagree. `ordinaut.rpc.status` turns an
error into `google.rpc.Status`; nothing here knows gRPC, only the numbers of `google.rpc.Code`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from google.rpc.code_pb2 import Code

from ordinaut.v1.error_pb2 import ErrorReason


@dataclass(frozen=True, slots=True)
class Repair:
    """A JSON Patch (RFC 6902) over the request as sent, that removes one violation."""

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
    """An error that a caller gets to see.

    `facts` become the metadata of ErrorInfo as text; `retry_after` (seconds) becomes RetryInfo.
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
    """The request is wrong whatever the state of the system."""

    code = Code.Value("INVALID_ARGUMENT")

    @classmethod
    def of(cls, violations: Sequence[Violation]) -> "InvalidArgumentError":
        """All problems of one request; the first one's reason speaks for all when they are of one kind."""
        reasons = {violation.reason for violation in violations}
        reason = reasons.pop() if len(reasons) == 1 else ErrorReason.INVALID_REQUEST
        count = f"{len(violations)} problems: " if len(violations) > 1 else ""
        text = "; ".join(f"{violation.field}: {violation.message}" for violation in violations[:3])
        more = "; …" if len(violations) > 3 else ""
        return cls(reason, f"{count}{text}{more}", violations=violations)


class UnauthenticatedError(OrdinautError):
    """The caller is not known."""

    code = Code.Value("UNAUTHENTICATED")


class PermissionDeniedError(OrdinautError):
    """The caller is known and may not do this."""

    code = Code.Value("PERMISSION_DENIED")


class NotFoundError(OrdinautError):
    """There is no such thing, or none that the caller may see."""

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
    """The name is taken."""

    code = Code.Value("ALREADY_EXISTS")


class FailedPreconditionError(OrdinautError):
    """The system's state forbids it; repeating the call does not help."""

    code = Code.Value("FAILED_PRECONDITION")


class AbortedError(OrdinautError):
    """Somebody else was faster; read again and repeat."""

    code = Code.Value("ABORTED")


class OutOfRangeError(OrdinautError):
    """A position outside of what is kept."""

    code = Code.Value("OUT_OF_RANGE")


class ResourceExhaustedError(OrdinautError):
    """A limit is reached."""

    code = Code.Value("RESOURCE_EXHAUSTED")


class UnavailableError(OrdinautError):
    """A part of the system cannot be reached; the same call may succeed later."""

    code = Code.Value("UNAVAILABLE")


class DeadlineExceededError(OrdinautError):
    """It took longer than the caller wanted to wait."""

    code = Code.Value("DEADLINE_EXCEEDED")


class UnimplementedError(OrdinautError):
    """There is no such method."""

    code = Code.Value("UNIMPLEMENTED")


class InternalError(OrdinautError):
    """A defect of Ordinaut; the caller gets an id, the log the details."""

    code = Code.Value("INTERNAL")
