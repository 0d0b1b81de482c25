"""A coming occurrence as people and agents see it."""

from uuid import UUID

from ordinaut.v1.schedule_pb2 import Upcoming
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule, Instant


def shown(instant: Instant, plan: CompiledSchedule, task: UUID | None) -> Upcoming:
    """The occurrence with its local times and what is special about it; with its jitter when the task is known.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    start = fire_time(plan, task, instant)
    coming = Upcoming(
        id=instant.occurrence_id,
        local_time=instant.time.astimezone(plan.zone).isoformat(),
        nominal_time=instant.nominal_local,
        dst_adjusted=instant.adjusted,
        note=_note(instant, plan, task),
    )
    coming.fire_time.FromDatetime(start)
    if plan.jitter and task is not None:
        coming.jitter.FromTimedelta(start - instant.time)
    return coming


def _note(instant: Instant, plan: CompiledSchedule, task: UUID | None) -> str:
    notes = []
    if instant.adjusted:
        notes.append(f"clocks skip {instant.nominal_local[11:16]} on that day")
    if instant.key_nominal.endswith("~2"):
        notes.append(f"clocks show {instant.nominal_local[11:16]} twice on that day; this is the second pass")
    if plan.jitter and task is None:
        notes.append(f"starts up to {plan.jitter} later")
    return "; ".join(notes)
