"""The ledger: every due instant of a task with its outcome. Most rows are inserted by the statement that decides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
NOT_RUN = ("SKIPPED_OVERLAP", "COALESCED", "MISSED", "PAUSED", "EXCLUDED", "SKIPPED", "BACKPRESSURE")
OUTCOMES = frozenset({"ENQUEUED", "BUFFERED", *NOT_RUN})
FIELDS = {
    "outcome": Field("o.outcome", choices=OUTCOMES),
    "time": Field("coalesce(o.instant, o.create_time)", Kind.TIME, sort="coalesce(o.instant, o.create_time)"),
    "trigger": Field("o.trigger"),
    "reason": Field("o.reason"),
    "run": Field("'runs/' || o.run"),
    "backfill": Field("backfill_of(o.run)"),
    "create_time": Field("o.create_time", Kind.TIME),
}
KEY = Field("o.key", sort="o.key")  # makes the order total; not a field that callers can name


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
    """Skips a future instant of a task with a locked cursor; None when it is not in the future.

    `nominal` is its key without the generation. Returns the ledger row of the instant, which may have another outcome
    than SKIPPED if it was there before.
    """
    await SQL.skip.run(connection, task=task, instant=instant, nominal=nominal, trigger=trigger, reason=reason)
    row = await SQL.at.row(connection, task=task, instant=instant)
    return OccurrenceRecord(**row) if row else None


async def skipped_ahead(connection: Connection, task: UUID) -> list[datetime]:
    """The future instants that were skipped."""
    return [row["instant"] for row in await SQL.skipped_ahead.rows(connection, task=task)]


async def skipped_within(
    connection: Connection, *, task: UUID, start: datetime, end: datetime, limit: int
) -> list[datetime]:
    """The first `limit` instants from `start` on and before `end` that were skipped."""
    rows = await SQL.skipped_within.rows(connection, task=task, start=start, end=end, limit=limit)
    return [row["instant"] for row in rows]


@dataclass(frozen=True, slots=True)
class MergedRow:
    """A ledger row of several merged instants, from `instant` to `last_instant`.

    `schedule` (JSON text) is the one that the instants belong to; `separate` are the instants between them that have
    rows of their own.
    """

    key: str
    instant: datetime
    last_instant: datetime
    outcome: str
    schedule: str
    separate: list[datetime]


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring instants that were merged into a row, from `first` to `last`."""

    key: str
    trigger: str
    first: datetime
    last: datetime
    count: int


async def merged(connection: Connection, task: UUID, first: datetime, last: datetime) -> list[MergedRow]:
    """The merged rows that overlap the time range [first, last]."""
    return [MergedRow(*row) for row in await SQL.merged.rows(connection, task=task, first=first, last=last)]


async def split(connection: Connection, task: UUID, key: str, parts: Sequence[Part]) -> None:
    """Replaces a merged row by several rows; the first part keeps the key."""
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


async def covering(connection: Connection, task: UUID, instant: datetime) -> OccurrenceRecord | None:
    """The row of an instant, its own or a merged one; None when the ledger has neither."""
    row = await SQL.covering.row(connection, task=task, instant=instant)
    record = OccurrenceRecord(**row) if row else None
    return record if record and instant <= (record.last_instant or record.time) else None


async def following(connection: Connection, task: UUID, instant: datetime) -> OccurrenceRecord | None:
    """The first row after an instant."""
    row = await SQL.following.row(connection, task=task, instant=instant)
    return OccurrenceRecord(**row) if row else None


async def newest(connection: Connection, task: UUID, time: datetime) -> OccurrenceRecord | None:
    """The newest row up to a time, including those of events and manual runs."""
    row = await SQL.newest.row(connection, task=task, time=time)
    return OccurrenceRecord(**row) if row else None


async def of_run(connection: Connection, task: UUID, run: UUID) -> OccurrenceRecord | None:
    """The row of a live run."""
    row = await SQL.of_run.row(connection, task=task, run=run)
    return OccurrenceRecord(**row) if row else None
