"""The error of a schedule, with a repair where it is certain."""

from ordinaut.v1.error_pb2 import ErrorReason


class ScheduleError(ValueError):
    """A schedule, or a part of it, cannot be accepted.

    Args:
        reason: a value of `ErrorReason`.
        message: what is wrong and what is expected.
        repair: the text that should replace the faulty one.
        explanation: what the repair does, in one sentence.
    """

    def __init__(
        self, reason: ErrorReason.ValueType, message: str, *, repair: str | None = None, explanation: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.repair = repair
        self.explanation = explanation


def too_costly(message: str) -> ScheduleError:
    """A SCHEDULE_TOO_COSTLY error with that message."""
    return ScheduleError(ErrorReason.SCHEDULE_TOO_COSTLY, message)
