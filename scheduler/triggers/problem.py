"""The error of a schedule, with a repair where it is certain, or a question where several meanings are possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason


@dataclass(frozen=True, slots=True)
class Edit:
    """Sets a value of the schedule, as JSON; None removes it.

    `place` is relative to the field with the problem: empty for the field itself, a name such as `rrule` for the
    member of that name beside it, and a path with a leading `/` such as `/time_zone` for a value of the schedule.
    """

    value: Any
    place: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One possible meaning: `label` explains it, `edits` write it into the schedule. `id` is unique in its question."""

    id: str
    label: str
    edits: Sequence[Edit]


@dataclass(frozen=True, slots=True)
class Question:
    """At least two possible meanings of a text, which only the caller can decide.

    `kind` is a word such as `zone`; with the path of the field it is the id of the question. `text` is one sentence
    that ends with a question mark. `default` is the id of the most probable choice, or empty.
    """

    kind: str
    text: str
    choices: Sequence[Choice]
    default: str = ""


class ScheduleError(ValueError):
    """A schedule, or a part of it, cannot be accepted.

    Args:
        reason: a value of `ErrorReason`.
        message: what is wrong and what is expected.
        repair: the text that should replace the faulty one, or edits.
        explanation: what the repair does, in one sentence.
        question: in place of a repair, if several meanings are possible.
    """

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        repair: str | Sequence[Edit] | None = None,
        explanation: str = "",
        question: Question | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.repair = [Edit(repair)] if isinstance(repair, str) else repair
        self.explanation = explanation
        self.question = question


def too_costly(message: str) -> ScheduleError:
    """A SCHEDULE_TOO_COSTLY error with that message."""
    return ScheduleError(ErrorReason.SCHEDULE_TOO_COSTLY, message)
