"""Converts an instant to the `Upcoming` message of the API."""

from uuid import UUID

from ordinaut.v1.schedule_pb2 import Upcoming
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule, Instant


def to_upcoming(instant: Instant, plan: CompiledSchedule, task: UUID | None) -> Upcoming:
    """The message with its local times and a note on clock changes; with its jitter if the task is given.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    start = fire_time(plan, task, instant)
    upcoming = Upcoming(
        id=instant.occurrence_id,
        local_time=instant.time.astimezone(instant.where).isoformat(),
        nominal_time=instant.nominal_local,
        dst_adjusted=instant.adjusted,
        note=_note(instant, plan, task),
    )
    upcoming.fire_time.FromDatetime(start)
    if plan.jitter and task is not None:
        upcoming.jitter.FromTimedelta(start - instant.time)
    return upcoming


def _note(instant: Instant, plan: CompiledSchedule, task: UUID | None) -> str:
    notes = []
    if instant.adjusted:
        notes.append(f"clocks skip {instant.nominal_local[11:16]} on that day")
    if instant.key_nominal.endswith("~2"):
        notes.append(f"clocks show {instant.nominal_local[11:16]} twice on that day; this is the second pass")
    if plan.jitter and task is None:
        notes.append(f"starts up to {plan.jitter} later")
    return "; ".join(notes)
