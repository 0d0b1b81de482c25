"""The ledger: every due moment of a task with what became of it. Its rows are written where they are decided."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
OUTCOMES = frozenset({"ENQUEUED", "SKIPPED_OVERLAP", "COALESCED", "MISSED", "PAUSED", "EXCLUDED"})
FIELDS = {
    "outcome": Field("o.outcome", choices=OUTCOMES),
    "time": Field("coalesce(o.instant, o.create_time)", Kind.TIME, sort="coalesce(o.instant, o.create_time)"),
    "trigger": Field("o.trigger"),
    "reason": Field("o.reason"),
    "run": Field("'runs/' || o.run"),
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
    create_time: datetime


async def list_page(connection: Connection, *, task: UUID, selection: Selection, size: int) -> list[OccurrenceRecord]:
    """At most `size` rows of a task that `selection` (over FIELDS) picks."""
    return [OccurrenceRecord(**row) for row in await SQL.list.page(connection, selection, task=task, size=size)]
