"""The ledger: every due moment of a task with what became of it. Its rows are written where they are decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
OUTCOMES = frozenset(
    {"ENQUEUED", "BUFFERED", "SKIPPED_OVERLAP", "COALESCED", "MISSED", "PAUSED", "EXCLUDED", "SKIPPED"}
)
FIELDS = {
    "outcome": Field("o.outcome", choices=OUTCOMES),
    "time": Field("coalesce(o.instant, o.create_time)", Kind.TIME, sort="coalesce(o.instant, o.create_time)"),
    "trigger": Field("o.trigger"),
    "reason": Field("o.reason"),
    "run": Field("'runs/' || o.run"),
    "backfill": Field("backfill_of(o.run)"),
    "create_time": Field("o.create_time", Kind.TIME),
}
KEY = Field("o.key", sort="o.key")  # settles the order, and is no field of the contract


@dataclass(frozen=True, slots=True)
class OccurrenceRecord:
    """One row of the ledger; `name` is its key, `time` its instant, or for events and manual runs its creation."""

    name: str
    time: datetime
    trigger: str
    instant: datetime | None
    last_instant: datetime | None
    count: int
    outcome: str
    reason: str
    run: UUID | None
    backfill: str | None
    create_time: datetime


async def list_page(connection: Connection, *, task: UUID, selection: Selection, size: int) -> list[OccurrenceRecord]:
    """At most `size` rows of a task that `selection` (over FIELDS) picks."""
    return [OccurrenceRecord(**row) for row in await SQL.list.page(connection, selection, task=task, size=size)]


async def skip(
    connection: Connection, *, task: UUID, instant: datetime, nominal: str, trigger: str, reason: str
) -> OccurrenceRecord | None:
    """Takes a coming instant of a task away, whose cursor is locked; None when it is not in the future.

    `nominal` is its key without the generation. The record is what the ledger says afterwards, which need not be
    SKIPPED.
    """
    await SQL.skip.run(connection, task=task, instant=instant, nominal=nominal, trigger=trigger, reason=reason)
    row = await SQL.at.row(connection, task=task, instant=instant)
    return OccurrenceRecord(**row) if row else None


async def skipped_ahead(connection: Connection, task: UUID) -> list[datetime]:
    """The instants to come that were skipped."""
    return [row["instant"] for row in await SQL.skipped_ahead.rows(connection, task=task)]


async def skipped_within(
    connection: Connection, *, task: UUID, start: datetime, end: datetime, limit: int
) -> list[datetime]:
    """The first `limit` instants from `start` on and before `end` that were skipped."""
    rows = await SQL.skipped_within.rows(connection, task=task, start=start, end=end, limit=limit)
    return [row["instant"] for row in rows]


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbours out of a collapsed row."""

    key: str
    trigger: str
    first: datetime
    last: datetime
    count: int


async def collapsed(connection: Connection, task: UUID, first: datetime, last: datetime) -> list[Record]:
    """The rows that stand for several instants and reach into a stretch.

    (key, instant, last_instant, outcome, schedule, apart); `schedule` is the one that the instants are of, as JSON,
    `apart` are instants between them that have rows of their own.
    """
    return await SQL.collapsed.rows(connection, task=task, first=first, last=last)


async def split(connection: Connection, task: UUID, key: str, parts: Sequence[Part]) -> None:
    """Puts several rows in the place of a collapsed one; the first keeps its key."""
    first, *others = parts
    await SQL.split.run(
        connection,
        task=task,
        key=key,
        first_end=first.last,
        first_count=first.count,
        keys=[part.key for part in others],
        triggers=[part.trigger for part in others],
        instants=[part.first for part in others],
        last_instants=[part.last for part in others],
        counts=[part.count for part in others],
    )


async def covering(connection: Connection, task: UUID, moment: datetime) -> OccurrenceRecord | None:
    """The entry that stands for a due moment, alone or with its neighbours; None when there is none."""
    row = await SQL.covering.row(connection, task=task, moment=moment)
    found = OccurrenceRecord(**row) if row else None
    return found if found and moment <= (found.last_instant or found.time) else None


async def following(connection: Connection, task: UUID, moment: datetime) -> OccurrenceRecord | None:
    """The first entry behind a due moment."""
    row = await SQL.following.row(connection, task=task, moment=moment)
    return OccurrenceRecord(**row) if row else None


async def newest(connection: Connection, task: UUID, moment: datetime) -> OccurrenceRecord | None:
    """The newest entry up to a moment, events and runs by hand among them."""
    row = await SQL.newest.row(connection, task=task, moment=moment)
    return OccurrenceRecord(**row) if row else None


async def of_run(connection: Connection, task: UUID, run: UUID) -> OccurrenceRecord | None:
    """The entry that became a live run."""
    row = await SQL.of_run.row(connection, task=task, run=run)
    return OccurrenceRecord(**row) if row else None
