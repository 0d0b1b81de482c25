"""Jitter: a deterministic delay between the due time of an occurrence and its start."""

from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from scheduler.schedules.schedule import CompiledSchedule, Instant

_MILLISECOND = timedelta(milliseconds=1)


def fire_time(schedule: CompiledSchedule, task: UUID | None, instant: Instant) -> datetime:
    """When the occurrence starts: not before its instant, and before the next one.

    The delay is hash(task, kind and nominal time) modulo the schedule's jitter, in whole milliseconds, so it is the
    same in every process and after every restart. Without a task and on an excluded day there is no delay.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY, when the next instant cannot be computed.
    """
    if task is None or not schedule.jitter or instant.excluded:
        return instant.time
    following, _ = schedule.next(instant.time)
    room = min(schedule.jitter, following.time - instant.time) if following else schedule.jitter
    digest = sha256(f"{task}/{instant.key_nominal}".encode()).digest()
    return instant.time + int.from_bytes(digest[:8]) % max(1, room // _MILLISECOND) * _MILLISECOND
