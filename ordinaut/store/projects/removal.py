"""Deletes the rows of a project, table by table, in batches; only the scheduler does."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
# After the runs, in this order: versions before their tasks, and all of these before the agents.
TABLES = (
    SQL.waits,
    SQL.approvals,
    SQL.match_todos,
    SQL.triggers,
    SQL.ranges,
    SQL.cursors,
    SQL.healths,
    SQL.occurrences,
    SQL.backfills,
    SQL.versions,
    SQL.task_rows,
    SQL.state_entries,
    SQL.tools,
    SQL.event_ids,
    SQL.events,
    SQL.responses,
)


@dataclass(frozen=True, slots=True)
class Removal:
    """A project that is being deleted.

    `settled`: calls that began before the deletion have ended. `overdue`: live runs have had their time to end.
    """

    project: str
    settled: bool
    overdue: bool


async def lock(connection: Connection, *, after: str, settle: timedelta, patience: timedelta) -> Removal | None:
    """Locks and returns the next DELETING project after `after` that no other scheduler works on."""
    row = await SQL.lock.row(connection, after=after, settle=settle, patience=patience)
    return Removal(*row) if row else None


async def tasks(connection: Connection, project: str, batch: int) -> list[UUID]:
    """Returns tasks that are not deleted yet."""
    return [row["uid"] for row in await SQL.tasks.rows(connection, project=project, batch=batch)]


async def live_runs(connection: Connection, project: str, batch: int) -> list[UUID]:
    """Returns live runs without a request to cancel them."""
    return [row["id"] for row in await SQL.live_runs.rows(connection, project=project, batch=batch)]


async def has_live_runs(connection: Connection, project: str) -> bool:
    """Whether any run of the project is live."""
    return bool(await SQL.has_live_runs.value(connection, project=project))


async def drop_live_runs(connection: Connection, project: str, batch: int) -> int:
    """Takes at most `batch` runs out of the queue without a trace; returns their number."""
    return int(await SQL.drop_live_runs.value(connection, project=project, batch=batch))


async def delete_rows(connection: Connection, project: str, batch: int) -> bool:
    """Deletes at most `batch` rows of the first table that has any; False when only agents are left."""
    if await SQL.runs.value(connection, project=project, batch=batch):
        return True
    for table in TABLES:
        if await table.run(connection, project=project, batch=batch):
            return True
    return bool(await SQL.audit_records.value(connection, project=project, batch=batch))


async def finish(connection: Connection, project: str, batch: int) -> bool:
    """Deletes the agents and then the project, whose name is free afterwards; False if rows are left."""
    if await SQL.has_events.value(connection, project=project):
        return False
    await SQL.tokens.run(connection, project=project)
    if await SQL.agents.run(connection, project=project, batch=batch) >= batch:
        return False
    await SQL.quotas.run(connection, project=project)
    await SQL.project.run(connection, project=project)
    return True
