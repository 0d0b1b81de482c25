"""Backfills: stretches of a task's past that are run, and which runs came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ordinaut.store import cursor
from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries, Record

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
    """A backfill; `name` is its id, `params` JSON text, `state` that of its task where that is PAUSED."""

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
class Wish:
    """What a backfill is asked to be; `after_time` is exclusive, `until_time` inclusive, `params` JSON text.

    `id` None: it is named by its uid. `total` is how many instants the range has.
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


@dataclass(frozen=True, slots=True)
class LedgerMark:
    """Up to when the ledger of a task knows what became of each instant; new keys begin with the generation."""

    task: UUID
    generation: int
    accounted: datetime


@dataclass(slots=True)
class RunColumns:
    """Runs to be, as the columns that `enqueue` takes; `known`: the ledger has a row of that key."""

    instants: list[datetime] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    params: list[str | None] = field(default_factory=list)
    interval_ends: list[datetime | None] = field(default_factory=list)


async def create(connection: Connection, task: UUID, wish: Wish) -> BackfillRecord | None:
    """Stores a backfill of a locked task; None when the id is taken."""
    name = await SQL.create.value(
        connection,
        task=task,
        id=wish.id,
        after_time=wish.after_time,
        until_time=wish.until_time,
        newest_first=wish.newest_first,
        reprocess=wish.reprocess,
        parallelism=wish.parallelism,
        priority=wish.priority,
        params=wish.params,
        total=wish.total,
    )
    return None if name is None else await get(connection, task, name)


async def running(connection: Connection, task: UUID) -> int:
    """How many backfills of a task are under way."""
    return int(await SQL.running.value(connection, task=task))


async def get(connection: Connection, task: UUID, name: str) -> BackfillRecord | None:
    """A task's backfill by its id."""
    row = await SQL.get.row(connection, task=task, id=name)
    return BackfillRecord(**row) if row else None


async def list_page(connection: Connection, *, task: UUID, selection: Selection, size: int) -> list[BackfillRecord]:
    """At most `size` backfills of a task that `selection` (over FIELDS) picks."""
    return [BackfillRecord(**row) for row in await SQL.list.page(connection, selection, task=task, size=size)]


async def cancel(connection: Connection, task: UUID, name: str | None, reason: str) -> list[UUID]:
    """Has a task's backfill, or all of them (None), enqueue nothing more; the uids of those that were under way."""
    return [row["uid"] for row in await SQL.cancel.rows(connection, task=task, id=name, reason=reason)]


async def live_runs(connection: Connection, backfill: UUID) -> list[UUID]:
    """The runs of a backfill whose end is not counted yet."""
    return [row["run"] for row in await SQL.live_runs.rows(connection, backfill=backfill)]


async def ledger_mark(connection: Connection, task: UUID) -> LedgerMark:
    """How far a task's ledger goes."""
    return LedgerMark(**await SQL.ledger_mark.row(connection, task=task))


async def take_turn(connection: Connection) -> Record | None:
    """The backfill that may enqueue and has waited longest; no other scheduler gets it for two seconds."""
    row: Record | None = await SQL.take_turn.row(connection)
    return row


async def lock(connection: Connection, *, backfill: UUID, task: UUID, position: datetime) -> Record | None:
    """Locks the ledger of the task, then the backfill, if it still stands at `position`: its (live, accounted).

    `accounted`: up to when the ledger knows what became of each instant.
    """
    await cursor.hold(connection, task)
    row: Record | None = await SQL.lock.row(connection, backfill=backfill, position=position)
    return row


async def examine(
    connection: Connection,
    *,
    task: UUID,
    reprocess: str,
    accounted: datetime,
    instants: Sequence[datetime],
    keys: Sequence[str],
) -> list[Record]:
    """(instant, key, collapsed, wanted) of each instant, in their order; `key` is that of the ledger's row, or None."""
    return await SQL.examine.rows(
        connection, task=task, reprocess=reprocess, accounted=accounted, instants=list(instants), keys=list(keys)
    )


async def enqueue(connection: Connection, backfill: UUID, runs: RunColumns) -> int:
    """Queues a run for each instant, each with its row in the ledger; returns how many."""
    count = await SQL.enqueue.value(
        connection,
        backfill=backfill,
        instants=runs.instants,
        keys=runs.keys,
        known=runs.known,
        triggers=runs.triggers,
        params=runs.params,
        interval_ends=runs.interval_ends,
    )
    return int(count)


async def move(
    connection: Connection, *, backfill: UUID, position: datetime | None, enqueued: int, skipped: int
) -> None:
    """A locked backfill has come to `position` (None: to its end)."""
    await SQL.move.run(connection, backfill=backfill, position=position, enqueued=enqueued, skipped=skipped)


async def settle(connection: Connection, ended: Mapping[UUID, str]) -> int:
    """Counts the ends of runs (their states), each once; returns how many backfills have moved by that."""
    return len(await SQL.settle.rows(connection, runs=list(ended), states=list(ended.values())))


async def set_aside(connection: Connection, *, backfill: UUID, reason: str) -> None:
    """Ends a backfill that cannot be worked on."""
    await SQL.set_aside.run(connection, backfill=backfill, reason=reason)
