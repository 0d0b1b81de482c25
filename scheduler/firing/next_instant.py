"""A cursor's next instant, as the columns of its row."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor
from scheduler.firing.missed_instants import MissedInstants
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION


def add(
    columns: cursor.PlanColumns,
    task: UUID,
    generation: int,
    schedule: CompiledSchedule,
    instant: Instant | None,
    state: dict[str, Any],
    start: datetime | None = None,
) -> None:
    """Appends the next instant of one cursor; None: the schedule has ended. Without time triggers no state is stored.

    `start`: a start time that a caller chose, in place of the instant's own time with jitter.
    """
    columns.tasks.append(task)
    columns.states.append((json.dumps(state) if state else "{}") if schedule.has_time_triggers else None)
    columns.instants.append(instant.time if instant else None)
    columns.fire_times.append(start or (fire_time(schedule, task, instant) if instant else None))
    columns.snoozed.append(start is not None)
    columns.outcomes.append("EXCLUDED" if instant and instant.excluded else None)
    columns.keys.append(occurrence_key(generation, instant) if instant else None)
    columns.triggers.append(instant.trigger_id if instant else None)
    columns.params.append(json.dumps(instant.params) if instant and instant.params else None)
    columns.zone_data.append(schedule.zone_data)
    columns.interval_ends.append(_following(schedule, instant, state) if instant else None)


async def advance(connection: Connection, task: UUID, missed: MissedInstants, paused_until: datetime | None) -> None:
    """Stores that the instants up to `missed.last_instant` are settled; the cursor is to be planned."""
    await cursor.advance(
        connection,
        task=task,
        last_instant=missed.last_instant,
        trigger_state=json.dumps(missed.state),
        zone_data=ZONE_DATA_VERSION,
        paused_until=paused_until,
    )


def occurrence_key(generation: int, instant: Instant) -> str:
    """The key of an occurrence, which does not change with zone data: `<generation>/<kind>:<nominal time>`.

    >>> schedule = CompiledSchedule({"time_zone": "Europe/Chisinau", "triggers": [{"id": "t0", "cron": "30 3 * * *"}]})
    >>> instant, _ = schedule.next(datetime.fromisoformat("2026-10-24T12:00Z"))
    >>> occurrence_key(2, instant)
    '2/cron:20261025T033000'
    """
    return f"{generation}/{instant.key_nominal}"


def _following(schedule: CompiledSchedule, instant: Instant, state: dict[str, Any]) -> datetime | None:
    """The nominal time of the next occurrence: the end of the interval that a report of this run covers."""
    following, _ = schedule.next_open(instant.time, state)
    return following.time if following else None
