"""Reads everything in a project, except secrets, hashes of tokens and stored responses."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
# Rows come after those that they refer to.
TABLES = {
    "project": SQL.project,
    "project_quota": SQL.quotas,
    "agent": SQL.agents,
    "agent_token": SQL.tokens,
    "tool": SQL.tools,
    "task": SQL.tasks,
    "task_version": SQL.versions,
    "schedule_cursor": SQL.cursors,
    "unsettled_range": SQL.ranges,
    "task_health": SQL.healths,
    "event_trigger": SQL.triggers,
    "occurrence": SQL.occurrences,
    "backfill": SQL.backfills,
    "due_work": SQL.live_runs,
    "run": SQL.runs,
    "backfill_run": SQL.backfill_runs,
    "step_run": SQL.steps,
    "run_retry": SQL.retries,
    "run_child": SQL.children,
    "run_limit": SQL.limits,
    "wait": SQL.waits,
    "approval": SQL.approvals,
    "state_entry": SQL.state_entries,
    "event": SQL.event_ids,
    "outbox": SQL.events,
    "audit": SQL.audit_records,
    "audit_seal": SQL.audit_seals,
    "audit_checkpoint": SQL.audit_checkpoint,
}


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row of a table as JSON text."""

    table: str
    row: str


async def rows(connection: Connection, project: str) -> AsyncGenerator[ExportedRow, None]:
    """Yields every row of a project as of the first one; must be the first work of a transaction."""
    await SQL.snapshot.run(connection)
    for table, query in TABLES.items():
        async for row in query.stream(connection, project=project):
            yield ExportedRow(table, row[0])
