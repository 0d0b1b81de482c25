"""A cursor's next instant, as the columns of its row."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store import cursor
from ordinaut.store.sql import Connection, Record
from scheduler.firing.missed_instants import Passed
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
    """Appends what one cursor is to say next; None: it has ended. Without time triggers there is no state to keep.

    `start`: when a person wants it to start, instead of its own time with jitter.
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
    columns.ends.append(_following(schedule, instant, state) if instant else None)


async def move(connection: Connection, row: Record, passed: Passed, paused_until: datetime | None) -> None:
    """Up to its last instant everything is accounted for; the cursor is to be planned."""
    await cursor.move(
        connection,
        task=row["task"],
        last_instant=passed.last_instant,
        trigger_state=json.dumps(passed.state),
        zone_data=ZONE_DATA_VERSION,
        paused_until=paused_until,
    )


def occurrence_key(generation: int, instant: Instant) -> str:
    """`<generation>/<kind>:<nominal>`: stable when zone data changes."""
    return f"{generation}/{instant.key_nominal}"


def _following(schedule: CompiledSchedule, instant: Instant, state: dict[str, Any]) -> datetime | None:
    """The nominal time after this one: where the interval ends that a report of this run covers."""
    following, _ = schedule.next_open(instant.time, state)
    return following.time if following else None
