"""Backfills: past time ranges of a task that are run again or for the first time, and their runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries
from ordinaut.store.tasks import cursor

SQL = Queries(__file__)
FIELDS = {
    "name": Field("'tasks/' || t.name || '/backfills/' || b.id", sort="b.id"),
    "state": Field(
        "CASE WHEN b.state = 'RUNNING' AND t.state = 'PAUSED' THEN 'PAUSED' ELSE b.state END",
        choices=frozenset({"RUNNING", "PAUSED", "COMPLETED", "CANCELLED"}),
    ),
    "reprocess": Field("b.reprocess", choices=frozenset({"NONE", "FAILED", "ALL"})),
    "create_time": Field("b.create_time", Kind.TIME, sort="b.create_time"),
}


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """A backfill; `name` is its id, `params` JSON text; `state` is PAUSED while its task is."""

    uid: UUID
    task: UUID
    task_name: str
    name: str
    task_version: int
    after_time: datetime
    until_time: datetime
    newest_first: bool
    reprocess: str
    parallelism: int
    priority: int
    params: str
    state: str
    state_reason: str
    total: int
    enqueued: int
    skipped: int
    succeeded: int
    failed: int
    cancelled: int
    create_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class NewBackfill:
    """A backfill to create; `after_time` is exclusive, `until_time` inclusive, `params` JSON text.

    `id` None: its uid becomes its id. `total` is the number of instants in the range. `starter_scopes` are the limit of
    its runs, None for no limit.
    """

    id: str | None
    after_time: datetime
    until_time: datetime
    newest_first: bool
    reprocess: str
    parallelism: int
    priority: int
    params: str
    total: int
    starter_scopes: list[str] | None = None


@dataclass(frozen=True, slots=True)
class LedgerMark:
    """Up to when the ledger of a task has an outcome for each instant; new keys begin with the generation."""

    task: UUID
    generation: int
    settled_until: datetime


@dataclass(frozen=True, slots=True)
class RunningBackfill:
    """A backfill that may enqueue runs.

    Instants in (after_time, until_time] belong to it; those before `position` (after it, if `newest_first`) are done.
    At most `parallelism` runs are live; `live` are. `schedule` is JSON text of its task version.
    """

    uid: UUID
    task: UUID
    generation: int
    after_time: datetime
    until_time: datetime
    newest_first: bool
    reprocess: str
    parallelism: int
    live: int
    position: datetime
    total: int
    schedule: str


@dataclass(frozen=True, slots=True)
class LockedBackfill:
    """The live runs of a locked backfill, and up to when the ledger has an outcome for each instant."""

    live: int
    settled_until: datetime


@dataclass(frozen=True, slots=True)
class ExaminedInstant:
    """An instant of a backfill with the key of its ledger row (None: no row); `merged`: the row has several instants.

    `selected`: the backfill is to run it.
    """

    instant: datetime
    key: str | None
    merged: bool
    selected: bool


@dataclass(slots=True)
class RunColumns:
    """Runs to enqueue, as the columns that `enqueue` takes; `recorded`: the ledger has a row of that key."""

    instants: list[datetime] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    recorded: list[bool] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    params: list[str | None] = field(default_factory=list)
    interval_ends: list[datetime | None] = field(default_factory=list)


async def create(connection: Connection, task: UUID, new: NewBackfill) -> BackfillRecord | None:
    """Stores a backfill of a locked task; None when the id is taken."""
    name = await SQL.create.value(
        connection,
        task=task,
        id=new.id,
        after_time=new.after_time,
        until_time=new.until_time,
        newest_first=new.newest_first,
        reprocess=new.reprocess,
        parallelism=new.parallelism,
        priority=new.priority,
        params=new.params,
        total=new.total,
        starter_scopes=new.starter_scopes,
    )
    return None if name is None else await get(connection, task, name)


async def running(connection: Connection, task: UUID) -> int:
    """Returns the number of running backfills of a task."""
    return int(await SQL.running.value(connection, task=task))


async def get(connection: Connection, task: UUID, name: str) -> BackfillRecord | None:
    """A task's backfill by its id."""
    row = await SQL.get.row(connection, task=task, id=name)
    return BackfillRecord(**row) if row else None


async def list_page(connection: Connection, *, task: UUID, selection: Selection, size: int) -> list[BackfillRecord]:
    """At most `size` backfills of a task that `selection` (over FIELDS) picks."""
    return [BackfillRecord(**row) for row in await SQL.list.page(connection, selection, task=task, size=size)]


async def cancel(connection: Connection, task: UUID, name: str | None, reason: str) -> list[UUID]:
    """Cancels a running backfill of a task, or all of them (None); returns their uids. Live runs are not affected."""
    return [row["uid"] for row in await SQL.cancel.rows(connection, task=task, id=name, reason=reason)]


async def live_runs(connection: Connection, backfill: UUID) -> list[UUID]:
    """The runs of a backfill that are not counted as ended yet."""
    return [row["run"] for row in await SQL.live_runs.rows(connection, backfill=backfill)]


async def ledger_mark(connection: Connection, task: UUID) -> LedgerMark:
    """Returns how far a task's ledger is complete."""
    return LedgerMark(**await SQL.ledger_mark.row(connection, task=task))


async def claim(connection: Connection) -> RunningBackfill | None:
    """Claims the backfill that has waited longest among those that may enqueue, for two seconds."""
    row = await SQL.claim.row(connection)
    return RunningBackfill(*row) if row else None


async def lock(connection: Connection, *, backfill: UUID, task: UUID, position: datetime) -> LockedBackfill | None:
    """Locks the ledger of the task, then the backfill; None if it is no longer at `position` or may not enqueue."""
    await cursor.lock(connection, task)
    row = await SQL.lock.row(connection, backfill=backfill, position=position)
    return LockedBackfill(*row) if row else None


async def examine(
    connection: Connection,
    *,
    task: UUID,
    reprocess: str,
    settled_until: datetime,
    instants: Sequence[datetime],
    keys: Sequence[str],
) -> list[ExaminedInstant]:
    """Decides which instants the backfill runs; the result is in the order of `instants`."""
    rows = await SQL.examine.rows(
        connection,
        task=task,
        reprocess=reprocess,
        settled_until=settled_until,
        instants=list(instants),
        keys=list(keys),
    )
    return [ExaminedInstant(*row) for row in rows]


async def enqueue(connection: Connection, backfill: UUID, runs: RunColumns) -> int:
    """Queues a run for each instant, each with its row in the ledger; returns how many."""
    count = await SQL.enqueue.value(
        connection,
        backfill=backfill,
        instants=runs.instants,
        keys=runs.keys,
        recorded=runs.recorded,
        triggers=runs.triggers,
        params=runs.params,
        interval_ends=runs.interval_ends,
    )
    return int(count)


async def move(
    connection: Connection, *, backfill: UUID, position: datetime | None, enqueued: int, skipped: int
) -> None:
    """Moves a locked backfill to `position` (None: to its end)."""
    await SQL.move.run(connection, backfill=backfill, position=position, enqueued=enqueued, skipped=skipped)


async def settle(connection: Connection, ended: Mapping[UUID, str]) -> int:
    """Counts ended runs by state, each once; returns the number of backfills concerned."""
    return len(await SQL.settle.rows(connection, runs=list(ended), states=list(ended.values())))


async def abort(connection: Connection, *, backfill: UUID, reason: str) -> None:
    """Ends a backfill that cannot be processed."""
    await SQL.abort.run(connection, backfill=backfill, reason=reason)
