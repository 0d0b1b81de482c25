"""Schedule cursors: one row per task, which holds its next instant. Nothing further ahead is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class DisabledTrigger:
    """An event trigger that is disabled, since when and for which reason."""

    trigger: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class NewEventTrigger:
    """An event trigger of a task; `condition` may be empty, `params` is JSON text."""

    trigger: str
    topic: str
    condition: str
    params: str | None


@dataclass(frozen=True, slots=True)
class PendingCursor:
    """A cursor with instants to compute.

    Instants up to `last_instant` are settled. `next_instant` is the planned one, if any. `trigger_state` (JSON text)
    and `zone_data` are from the last computation. `paused_until` is when the task was resumed, while its pause is still
    to be recorded; `run_newest`: the newest instant of the pause is to run. `schedule` is JSON text, `skipped`
    the instants that a caller skipped ahead, `now` the database's time.
    """

    task: UUID
    project: str
    generation: int
    last_instant: datetime
    next_instant: datetime | None
    trigger_state: str | None
    schedule: str
    paused_until: datetime | None
    run_newest: bool
    snoozed: bool
    zone_data: str | None
    now: datetime
    skipped: list[datetime]


@dataclass(frozen=True, slots=True)
class UpcomingInstant:
    """What a cursor will do next.

    Instants up to `last_instant` are settled. `recorded`: the ledger already has an outcome for the next one.
    """

    last_instant: datetime
    next_instant: datetime | None
    next_fire_time: datetime | None
    next_outcome: str | None
    interval_end: datetime | None
    snoozed: bool
    now: datetime
    recorded: bool


@dataclass(frozen=True, slots=True)
class TaskName:
    """A task that was changed, as its lifecycle event needs it."""

    uid: UUID
    project: str
    name: str


@dataclass(slots=True)
class PlanColumns:
    """Computed next instants as the columns that `plan` takes; a row with `instants` None has ended.

    `fire_times` are the instants with their jitter. An instant with an outcome will be recorded with it and not run.
    `zone_data` is the version that a row was computed with, None where the result depends on no zone. A `snoozed` row
    has a fire time that a caller chose.
    """

    tasks: list[UUID] = field(default_factory=list)
    instants: list[datetime | None] = field(default_factory=list)
    fire_times: list[datetime | None] = field(default_factory=list)
    outcomes: list[str | None] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    triggers: list[str | None] = field(default_factory=list)
    params: list[str | None] = field(default_factory=list)
    interval_ends: list[datetime | None] = field(default_factory=list)
    states: list[str | None] = field(default_factory=list)
    zone_data: list[str | None] = field(default_factory=list)
    snoozed: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class UnfiredColumns:
    """Occurrences that will not run, as columns; a row merges `counts` neighbours."""

    keys: list[str] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    instants: list[datetime] = field(default_factory=list)
    last_instants: list[datetime] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fired:
    """Counts of cursors moved, runs queued, runs buffered, and instants recorded as EXCLUDED."""

    moved: int
    queued: int = 0
    buffered: int = 0
    excluded: int = 0


async def create(
    connection: Connection,
    *,
    project: str,
    task: UUID,
    last_instant: datetime,
    event_triggers: Sequence[NewEventTrigger],
    ends: bool = False,
    generation: int = 1,
) -> None:
    """Inserts the cursor of a new task, which plans instants after `last_instant`; `ends`: no time triggers."""
    await SQL.create.run(connection, task=task, generation=generation, last_instant=last_instant, ends=ends)
    await _put_event_triggers(connection, project, task, event_triggers)


async def replan(
    connection: Connection,
    *,
    project: str,
    task: UUID,
    last_instant: datetime,
    event_triggers: Sequence[NewEventTrigger],
    ends: bool = False,
) -> int:
    """Settles everything up to now, then begins a new generation for changed triggers or zone; returns it.

    To be called before the task has its new version. `ends`: nothing fires by time, because there are no time triggers
    or the task is paused.
    """
    await settle(connection, task)
    generation: int = await SQL.replan.value(connection, task=task, last_instant=last_instant, ends=ends)
    await _put_event_triggers(connection, project, task, event_triggers)
    return generation


async def fire_if_due(connection: Connection, task: UUID, *, snoozed_too: bool = True) -> None:
    """Locks the cursor and fires it if it is due; to be called before any change of the cursor.

    A snoozed instant that would have been due by now is fired as well, unless `snoozed_too` is False.
    """
    if await SQL.lock_due.value(connection, task=task, snoozed_too=snoozed_too):
        await fire_one(connection, task)


async def settle(connection: Connection, task: UUID, *, snoozed_too: bool = True) -> None:
    """Fires as `fire_if_due`, and hands every other instant that has passed to a scheduler as an unsettled range."""
    await fire_if_due(connection, task, snoozed_too=snoozed_too)
    await SQL.leave_unsettled.run(connection, task=task)


async def lock(connection: Connection, task: UUID) -> None:
    """Locks the cursor: until this transaction ends, no other one can record an outcome of the task's instants."""
    await SQL.lock.row(connection, task=task)


async def pause(connection: Connection, task: UUID) -> None:
    """Settles everything up to now, then fires nothing until `resume`."""
    await settle(connection, task, snoozed_too=False)
    await SQL.pause.run(connection, task=task)


async def upcoming(connection: Connection, task: UUID) -> UpcomingInstant | None:
    """What the cursor of a task will do next; None without a cursor."""
    row = await SQL.upcoming.row(connection, task=task)
    return UpcomingInstant(**row) if row else None


async def snooze(connection: Connection, task: UUID, fire_time: datetime) -> None:
    """Starts the next instant of a locked cursor at `fire_time`."""
    await SQL.snooze.run(connection, task=task, fire_time=fire_time)


async def resume(connection: Connection, task: UUID, *, run_newest: bool = False) -> None:
    """Fires again from now on; planning records the pause as PAUSED, or runs its newest instant if `run_newest`."""
    await rearm(connection, task)
    await SQL.release_held.run(connection, task=task)
    await SQL.resume.run(connection, task=task, run_newest=run_newest)


async def rearm(connection: Connection, task: UUID) -> None:
    """Enables the event triggers of a task that were disabled; they will judge the events since then."""
    await SQL.rearm.run(connection, task=task)


async def disabled_triggers(connection: Connection, task: UUID) -> list[DisabledTrigger]:
    """The triggers of a task that are disabled, with the reasons and times."""
    return [DisabledTrigger(*row) for row in await SQL.disabled_triggers.rows(connection, task=task)]


async def remove(connection: Connection, task: UUID) -> None:
    """Settles everything up to now; after that the task never fires again, by time or by event."""
    await settle(connection, task)
    await SQL.remove.run(connection, task=task)
    await SQL.release_held.run(connection, task=task)
    await SQL.drop_event_triggers.run(connection, task=task)


async def fire(connection: Connection, batch: int) -> Fired:
    """Fires up to `batch` cursors that are due now, in one statement."""
    return Fired(**await SQL.fire.row(connection, batch=batch))


async def fire_one(connection: Connection, task: UUID, *, always_buffer: bool = False) -> Fired:
    """Fires the locked cursor of one task; `always_buffer`: if a run is live, any policy but ALLOW buffers it."""
    return Fired(**await SQL.fire_one.row(connection, task=task, always_buffer=always_buffer))


async def seconds_to_next(connection: Connection) -> float | None:
    """How long until the earliest cursor is due, by the database's clock; None when no cursor will be."""
    row = await SQL.earliest.row(connection)
    return None if row["next_fire_time"] is None else (row["next_fire_time"] - row["now"]).total_seconds()


async def pause_task(connection: Connection, *, task: UUID, reason: str) -> list[TaskName]:
    """Pauses a task for a reason of the system's; the task if it was active, else nothing."""
    return [TaskName(*row) for row in await SQL.pause_task.rows(connection, task=task, reason=reason)]


async def first_due(connection: Connection) -> UUID | None:
    """Locks the cursor that a batch of one would fire."""
    task: UUID | None = await SQL.first_due.value(connection)
    return task


async def first_unplanned(connection: Connection) -> UUID | None:
    """Locks the cursor that a batch of one would plan."""
    task: UUID | None = await SQL.first_unplanned.value(connection)
    return task


async def tasks_with_ended_schedule(connection: Connection, batch: int) -> list[UUID]:
    """Up to `batch` active tasks with an ended schedule."""
    return [row["task"] for row in await SQL.tasks_with_ended_schedule.rows(connection, batch=batch)]


async def unplanned(connection: Connection, batch: int) -> list[PendingCursor]:
    """Locks up to `batch` cursors without a next instant."""
    return [PendingCursor(*row) for row in await SQL.unplanned.rows(connection, batch=batch)]


async def outdated(connection: Connection, zone_data: str, batch: int) -> list[PendingCursor]:
    """Locks up to `batch` cursors that were planned with older zone data."""
    return [PendingCursor(*row) for row in await SQL.outdated.rows(connection, zone_data=zone_data, batch=batch)]


async def tasks_with_recorded(connection: Connection, tasks: Sequence[UUID], keys: Sequence[str | None]) -> set[UUID]:
    """Those of the tasks with an occurrence of that key in the ledger."""
    return {row["task"] for row in await SQL.tasks_with_recorded.rows(connection, tasks=list(tasks), keys=list(keys))}


async def note_zone_data(connection: Connection, version: str) -> str:
    """Stores the newest zone data version that any scheduler has had; returns the previous one, or an empty text."""
    before: str = await SQL.note_zone_data.value(connection, zone_data=version)
    return before


async def late(connection: Connection) -> PendingCursor | None:
    """Locks one cursor that is more than five seconds late."""
    row = await SQL.late.row(connection)
    return PendingCursor(*row) if row else None


async def may_catch_up(connection: Connection) -> bool:
    """Whether a cursor is late and a run may start; the shared rate stays locked until the transaction ends."""
    return bool(await SQL.may_catch_up.value(connection))


async def count_catch_up(connection: Connection, per_second: int) -> None:
    """Charges one run of catch-up to the shared rate."""
    await SQL.count_catch_up.run(connection, seconds=1 / per_second)


async def plan(connection: Connection, planned: PlanColumns) -> None:
    """Writes computed next instants into locked cursors."""
    await SQL.plan.run(
        connection,
        tasks=planned.tasks,
        instants=planned.instants,
        fire_times=planned.fire_times,
        outcomes=planned.outcomes,
        keys=planned.keys,
        triggers=planned.triggers,
        params=planned.params,
        interval_ends=planned.interval_ends,
        states=planned.states,
        zone_data=planned.zone_data,
        snoozed=planned.snoozed,
    )


async def advance(
    connection: Connection,
    *,
    task: UUID,
    last_instant: datetime,
    trigger_state: str | None,
    zone_data: str,
    paused_until: datetime | None,
) -> None:
    """Marks everything up to `last_instant` as settled; the cursor is to be planned."""
    await SQL.advance.run(
        connection,
        task=task,
        last_instant=last_instant,
        trigger_state=trigger_state,
        zone_data=zone_data,
        paused_until=paused_until,
    )


async def record_unfired(connection: Connection, *, project: str, task: UUID, unfired: UnfiredColumns) -> None:
    """Writes ledger rows for instants that will not run."""
    await SQL.record_unfired.run(
        connection,
        project=project,
        task=task,
        keys=unfired.keys,
        triggers=unfired.triggers,
        instants=unfired.instants,
        last_instants=unfired.last_instants,
        counts=unfired.counts,
        outcomes=unfired.outcomes,
        reasons=unfired.reasons,
    )


async def complete_tasks(connection: Connection, tasks: Sequence[UUID]) -> list[TaskName]:
    """Marks as COMPLETED those of the tasks that can never run again; returns them."""
    return [TaskName(*row) for row in await SQL.complete_tasks.rows(connection, tasks=list(tasks))]


async def _put_event_triggers(
    connection: Connection, project: str, task: UUID, rows: Sequence[NewEventTrigger]
) -> None:
    columns: dict[str, list[Any]] = {
        "triggers": [row.trigger for row in rows],
        "topics": [row.topic for row in rows],
        "conditions": [row.condition for row in rows],
        "params": [row.params for row in rows],
    }
    changed = {name: columns[name] for name in ("triggers", "topics", "conditions")}
    await SQL.end_event_triggers.run(connection, task=task, **changed)
    await SQL.put_event_triggers.run(connection, project=project, task=task, **columns)
