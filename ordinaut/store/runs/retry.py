"""Retries: new runs that resume after the last completed step of an ended run, with the same idempotency keys."""

from dataclasses import dataclass
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The result of a retry: `run` was enqueued, `live_run` prevents it, or the task has been deleted."""

    run: UUID | None
    live_run: UUID | None = None
    task_exists: bool = True


async def enqueue(connection: Connection, *, retry_of: UUID, root: str, run: UUID) -> RetryResult:
    """Enqueues `run` as a retry of an ended run with this root, with its completed steps; in a transaction."""
    await SQL.lock_root.value(connection, root=root)
    live = await SQL.live.value(connection, root=root)
    if live is not None:
        return RetryResult(None, live_run=live)
    row = await SQL.enqueue.row(connection, retry_of=retry_of, run=run)
    if row is None:
        return RetryResult(None, task_exists=False)
    if row["run"] is not None:
        await SQL.copy_steps.run(connection, retry_of=retry_of, run=run)
        await SQL.see_same_events.run(connection, retry_of=retry_of, run=run)
        await SQL.record_retry.run(connection, retry_of=retry_of, run=run)
        await SQL.inherit.run(connection, retry_of=retry_of, run=run)
    return RetryResult(**row)
