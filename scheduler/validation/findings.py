"""Violations of a schedule, collected with their repairs and questions."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.v1.error_pb2 import ErrorReason, Fix
from scheduler.triggers.problem import Edit, Question, ScheduleError

_MAX_LABELS = 160  # characters; the status of a refused request keeps 300 of a message
_INDEX = re.compile(r"\[(\d+)\]")


class Findings:
    """The violations so far, in the order in which they were added."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, field: str, reason: ErrorReason.ValueType, message: str) -> Violation:
        """Adds one violation at a path such as `triggers[0].cron`."""
        violation = Violation(field=field, message=message, reason=reason)
        self.violations.append(violation)
        return violation

    def add_repairable(
        self,
        field: str,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        target: str,
        value: str | None,
        explanation: str,
    ) -> None:
        """Adds a violation; unless `value` is None, its repair sets the field at the path `target` to it."""
        violation = self.add(field, reason, message)
        if value is not None:
            violation.fix.CopyFrom(_fix(field, [Edit(value, pointer(target))], explanation))

    def add_question(self, field: str, reason: ErrorReason.ValueType, message: str, question: Question) -> None:
        """Adds a violation without a repair; its message names the choices."""
        violation = self.add(field, reason, f"{message}. {question.text} {_named(question)}")
        asked = violation.questions.add(
            id=f"{field}:{question.kind}", text=question.text, default_choice=question.default
        )
        for choice in question.choices:
            patch = asked.choices.add(id=choice.id, label=choice.label).patch
            for operation in _operations(field, choice.edits):
                patch.add().update(operation)

    def add_error(self, field: str, error: ScheduleError) -> None:
        """Adds the error of a trigger as a violation of that field."""
        if error.question is not None:
            self.add_question(field, error.reason, error.message, error.question)
            return
        violation = self.add(field, error.reason, error.message)
        if error.repair:
            violation.fix.CopyFrom(_fix(field, error.repair, error.explanation))


def _named(question: Question) -> str:
    """The labels of the choices, as many as a message has room for."""
    labels: list[str] = []
    for choice in question.choices:
        if len(labels) > 1 and len("; ".join([*labels, choice.label])) > _MAX_LABELS:
            return f"{'; '.join(labels)}; …"
        labels.append(choice.label)
    return "; ".join(labels)


def pointer(path: str) -> str:
    """The JSON pointer (RFC 6901) of a path.

    >>> pointer("triggers[0].cron")
    '/triggers/0/cron'
    """
    return "/" + _INDEX.sub(r"/\1", path).replace(".", "/")


def _fix(field: str, edits: Sequence[Edit], explanation: str) -> Fix:
    fix = Fix(field=field, explanation=explanation)
    for operation in _operations(field, edits):
        fix.operations.add().update(operation)
    return fix


def _operations(field: str, edits: Sequence[Edit]) -> Iterator[dict[str, Any]]:
    """The edits as JSON Patch; RFC 6902 `add` sets a member of an object whether it exists or not."""
    for edit in edits:
        path = _target(field, edit.place)
        yield {"op": "remove", "path": path} if edit.value is None else {"op": "add", "path": path, "value": edit.value}


def _target(field: str, place: str) -> str:
    if place.startswith("/"):
        return place
    own = pointer(field)
    return f"{own.rpartition('/')[0]}/{place}" if place else own
