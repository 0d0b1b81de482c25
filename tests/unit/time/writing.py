"""How the tests of time write schedules."""

from datetime import datetime
from typing import Any

from google.protobuf.json_format import ParseDict

from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.validation.schedule import Checked, compiled, validate

NOW = datetime.fromisoformat("2026-05-01T10:00:00Z")


def schedule_of(*triggers: dict[str, Any], **fields: Any) -> Schedule:
    """A schedule of these triggers."""
    return ParseDict({"triggers": list(triggers), **fields}, Schedule())


def check(*triggers: dict[str, Any], now: datetime = NOW, **fields: Any) -> Checked:
    """The answer of validation for a schedule that is new."""
    return validate(schedule_of(*triggers, **fields), now, stored=False)


def problems(*triggers: dict[str, Any], **fields: Any) -> dict[str, str]:
    """Reason by field."""
    violations = check(*triggers, **fields).violations
    return {violation.field: ErrorReason.Name(violation.reason) for violation in violations}


def accepted(*triggers: dict[str, Any], now: datetime = NOW, **fields: Any) -> CompiledSchedule:
    """The compiled form of a schedule that must be accepted, whatever has passed of it."""
    found = validate(schedule_of(*triggers, **fields), now, stored=True)
    assert not found.violations, found.violations
    return compiled(found.schedule)


def take(plan: CompiledSchedule, after: datetime | None, number: int) -> list[Instant]:
    """The next instants, at most `number`."""
    instants: list[Instant] = []
    state: dict[str, Any] = {}
    while len(instants) < number:
        instant, state = plan.next(after, state)
        if instant is None:
            break
        instants.append(instant)
        after = instant.time
    return instants
