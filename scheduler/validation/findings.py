"""Violations of a schedule, collected with their repairs."""

import re

from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.v1.error_pb2 import ErrorReason, Fix
from scheduler.triggers.problem import ScheduleError

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
            violation.fix.CopyFrom(_setting(field, target, value, explanation))

    def add_error(self, field: str, error: ScheduleError) -> None:
        """Adds the error of a trigger as a violation of that field."""
        self.add_repairable(
            field, error.reason, error.message, target=field, value=error.repair, explanation=error.explanation
        )


def _setting(field: str, target: str, value: str, explanation: str) -> Fix:
    """RFC 6902 `add` sets a member of an object whether it exists or not."""
    fix = Fix(field=field, explanation=explanation)
    fix.operations.add().update({"op": "add", "path": _pointer(target), "value": value})
    return fix


def _pointer(path: str) -> str:
    return "/" + _INDEX.sub(r"/\1", path).replace(".", "/")
