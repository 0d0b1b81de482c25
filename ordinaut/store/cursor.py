"""The clock's cursors: one per task, the only look-ahead there is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)


class EventTriggerRow(TypedDict):
    """An event trigger of a task; `params` is JSON text."""

    trigger: str
    topic: str
    condition: str
    params: str | None


@dataclass(slots=True)
class PlanColumns:
    """Computed next instants as the columns that `plan` takes; a row with `instants` None has ended.

    `fire_times` are the instants with their jitter. An instant with an outcome will be recorded with it and not run.
    `zone_data` is the version that a row was computed with, None where no zone has a part in it. What is `snoozed` has
    its fire time from a person.
    """

    tasks: list[UUID] = field(default_factory=list)
    instants: list[datetime | None] = field(default_factory=list)
    fire_times: list[datetime | None] = field(default_factory=list)
    outcomes: list[str | None] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    triggers: list[str | None] = field(default_factory=list)
    params: list[str | None] = field(default_factory=list)
    ends: list[datetime | None] = field(default_factory=list)
    states: list[str | None] = field(default_factory=list)
    zone_data: list[str | None] = field(default_factory=list)
    snoozed: list[bool] = field(default_factory=list)


@dataclass(slots=True)
class UnfiredColumns:
    """Occurrences that will not run, as columns; a row stands for `counts` neighbours."""

    keys: list[str] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    instants: list[datetime] = field(default_factory=list)
    last_instants: list[datetime] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fired:
    """How many cursors were moved, runs queued (those that wait for their turn are `buffered`) and moments excluded."""

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
    event_triggers: Sequence[EventTriggerRow],
    ends: bool = False,
    generation: int = 1,
) -> None:
    """A cursor for a new task: instants after `last_instant` are planned; `ends`: it has no time triggers."""
    await SQL.create.run(connection, task=task, generation=generation, last_instant=last_instant, ends=ends)
    await _put_event_triggers(connection, project, task, event_triggers)


async def replan(
    connection: Connection,
    *,
    project: str,
    task: UUID,
    last_instant: datetime,
    event_triggers: Sequence[EventTriggerRow],
    ends: bool = False,
) -> int:
    """The triggers or the zone change: everything up to now is settled, then a new generation begins; returns it.

    To be called before the task has its new version. `ends`: nothing fires by time, ever or while it is paused.
    """
    await settle(connection, task)
    generation: int = await SQL.replan.value(connection, task=task, last_instant=last_instant, ends=ends)
    await _put_event_triggers(connection, project, task, event_triggers)
    return generation


async def fire_if_due(connection: Connection, task: UUID, *, snoozed_too: bool = True) -> None:
    """Locks the cursor and fires it when it is due: done before whatever would change it.

    What was snoozed and would have been due by now is fired as well, unless `snoozed_too` is False.
    """
    if await SQL.lock.value(connection, task=task, snoozed_too=snoozed_too):
        await fire_one(connection, task)


async def settle(connection: Connection, task: UUID, *, snoozed_too: bool = True) -> None:
    """Fires as `fire_if_due`, and leaves whatever else has passed to a scheduler as arrears."""
    await fire_if_due(connection, task, snoozed_too=snoozed_too)
    await SQL.leave_behind.run(connection, task=task)


async def hold(connection: Connection, task: UUID) -> None:
    """Locks the cursor: until the transaction ends nobody writes what became of the task's instants."""
    await SQL.hold.row(connection, task=task)


async def pause(connection: Connection, task: UUID) -> None:
    """Settles everything up to now, then fires nothing until `resume`."""
    await settle(connection, task, snoozed_too=False)
    await SQL.pause.run(connection, task=task)


async def coming(connection: Connection, task: UUID) -> Record:
    """What a cursor says next.

    (last_instant, next_instant, next_fire_time, next_outcome, interval_end, snoozed, now, decided): `last_instant` is
    the newest one that is accounted for; `decided`: the ledger has an outcome for the next one already.
    """
    row: Record = await SQL.coming.row(connection, task=task)
    return row


async def snooze(connection: Connection, task: UUID, moment: datetime) -> None:
    """Has the next instant of a locked cursor start at `moment`."""
    await SQL.snooze.run(connection, task=task, moment=moment)


async def resume(connection: Connection, task: UUID, *, run_newest: bool = False) -> None:
    """Goes on from now; what passed since the pause will be recorded as PAUSED, the newest run where that is wanted."""
    await SQL.resume.run(connection, task=task, run_newest=run_newest)


async def remove(connection: Connection, task: UUID) -> None:
    """Settles everything up to now; the cursor fires never again, by time or by event."""
    await settle(connection, task)
    await SQL.remove.run(connection, task=task)
    await SQL.drop_event_triggers.run(connection, task=task)


async def fire(connection: Connection, batch: int) -> Fired:
    """Fires up to `batch` cursors that are due now, in one statement."""
    return Fired(**await SQL.fire.row(connection, batch=batch))


async def fire_one(connection: Connection, task: UUID, *, in_turn: bool = False) -> Fired:
    """Fires the locked cursor of one task; `in_turn`: where runs may not overlap it waits, whatever the policy says."""
    return Fired(**await SQL.fire_one.row(connection, task=task, in_turn=in_turn))


async def seconds_to_next(connection: Connection) -> float | None:
    """How long until the earliest cursor is due, by the database's clock; None: there is none."""
    row = await SQL.earliest.row(connection)
    return None if row["next_fire_time"] is None else (row["next_fire_time"] - row["now"]).total_seconds()


async def set_aside(connection: Connection, *, task: UUID, reason: str) -> list[Record]:
    """Pauses a task whose schedule cannot be worked on; its (uid, project, name) if it was active."""
    return await SQL.set_aside.rows(connection, task=task, reason=reason)


async def first_due(connection: Connection) -> UUID | None:
    """Locks the cursor that a batch of one would fire."""
    task: UUID | None = await SQL.first_due.value(connection)
    return task


async def first_unplanned(connection: Connection) -> UUID | None:
    """Locks the cursor that a batch of one would plan."""
    task: UUID | None = await SQL.first_unplanned.value(connection)
    return task


async def ended(connection: Connection, batch: int) -> list[UUID]:
    """Up to `batch` active tasks whose schedule has ended."""
    return [row["task"] for row in await SQL.ended.rows(connection, batch=batch)]


async def unplanned(connection: Connection, batch: int) -> list[Record]:
    """Locks up to `batch` cursors whose next instant is to be computed."""
    return await SQL.unplanned.rows(connection, batch=batch)


async def outdated(connection: Connection, zone_data: str, batch: int) -> list[Record]:
    """Locks up to `batch` cursors whose coming instant is by older zone data; as `unplanned`, with next_instant."""
    return await SQL.outdated.rows(connection, zone_data=zone_data, batch=batch)


async def decided(connection: Connection, tasks: Sequence[UUID], keys: Sequence[str | None]) -> set[UUID]:
    """Those of the tasks whose occurrence of that key is in the ledger already."""
    return {row["task"] for row in await SQL.decided.rows(connection, tasks=list(tasks), keys=list(keys))}


async def note_zone_data(connection: Connection, version: str) -> str:
    """Keeps the newest version that a scheduler here has had; returns the one kept before, empty if there was none."""
    before: str = await SQL.note_zone_data.value(connection, zone_data=version)
    return before


async def late(connection: Connection) -> Record | None:
    """Locks one cursor that is more than five seconds late."""
    row: Record | None = await SQL.late.row(connection)
    return row


async def may_catch_up(connection: Connection) -> bool:
    """Whether there is something to catch up and a run may start; the pace stays locked until the transaction ends."""
    return bool(await SQL.may_catch_up.value(connection))


async def count_catch_up(connection: Connection, per_second: int) -> None:
    """One more run of catch-up was started."""
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
        ends=planned.ends,
        states=planned.states,
        zone_data=planned.zone_data,
        snoozed=planned.snoozed,
    )


async def move(
    connection: Connection,
    *,
    task: UUID,
    last_instant: datetime,
    trigger_state: str | None,
    zone_data: str,
    paused_until: datetime | None,
) -> None:
    """Everything up to `last_instant` is accounted for; the cursor is to be planned."""
    await SQL.move.run(
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


async def complete_tasks(connection: Connection, tasks: Sequence[UUID]) -> list[Record]:
    """Marks as COMPLETED those tasks that have nothing more to do; returns their (uid, project, name)."""
    return await SQL.complete_tasks.rows(connection, tasks=list(tasks))


async def _put_event_triggers(
    connection: Connection, project: str, task: UUID, rows: Sequence[EventTriggerRow]
) -> None:
    columns: dict[str, list[Any]] = {
        "triggers": [row["trigger"] for row in rows],
        "topics": [row["topic"] for row in rows],
        "conditions": [row["condition"] for row in rows],
        "params": [row["params"] for row in rows],
    }
    await SQL.put_event_triggers.run(connection, project=project, task=task, **columns)
