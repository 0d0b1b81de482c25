"""How tasks fare whose run policy asks for it: failures in a row, and until when a success is expected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)


@dataclass(slots=True)
class FaringColumns:
    """What ends of runs came to, as the columns that `record` takes; a task stands once."""

    tasks: list[UUID] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    success_times: list[datetime | None] = field(default_factory=list)


async def put(connection: Connection, task: UUID, *, anew: bool) -> None:
    """Begins, goes on or stops to keep an eye on a locked task, as its present version says; `anew`: from zero."""
    await SQL.put.run(connection, task=task, anew=anew)


async def lock(connection: Connection, tasks: Sequence[UUID]) -> list[Record]:
    """Rows (task, failures, pause_after_failures, state) of those tasks that somebody keeps an eye on, locked."""
    return await SQL.lock.rows(connection, tasks=list(tasks))


async def record(connection: Connection, faring: FaringColumns) -> None:
    """Writes down how locked tasks fare."""
    await SQL.record.run(connection, tasks=faring.tasks, failures=faring.failures, success_times=faring.success_times)


async def tell_overdue(connection: Connection, batch: int) -> list[Record]:
    """Up to `batch` rows (task, project, name, expected, seconds) of tasks that lack a success; each lapse once."""
    return await SQL.tell_overdue.rows(connection, batch=batch)
