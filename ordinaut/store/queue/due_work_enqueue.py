"""Queues runs: one row in due_work for each live run, and its row in the ledger.

The other statements on due_work are in `due_work_claim`, `due_work_finish` and `due_work_recover`; scheduled runs,
backfills, children, inline runs and retries are queued by their own modules with the fragments of this one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The result of a request to run: `run` is in the queue, or `live_run` prevents it for the given `reason`."""

    run: UUID | None
    reason: str
    live_run: UUID | None


async def enqueue_manual(
    connection: Connection,
    *,
    task: UUID,
    run: UUID,
    params_json: str,
    priority: int | None,
    start_time: datetime | None,
    starter_scopes: Collection[str] = (),
    record: str | None = None,
) -> Enqueued:
    """Queues a run of the current version of `task`, if its overlap policy allows.

    `starter_scopes` limit it if the version has `rights: LIMITED_BY_STARTER`. `record` is the audit record as JSON, if
    the caller does not write it; a caller that gets no run rolls back.
    """
    row = await SQL.enqueue_manual.row(
        connection,
        task=task,
        run=run,
        params=params_json,
        priority=priority,
        start_time=start_time,
        starter_scopes=sorted(starter_scopes),
        record=record,
    )
    return Enqueued(*row)


async def enqueue_for_events(
    connection: Connection, matches: Sequence[tuple[UUID, str, str, str, str | None, int]]
) -> tuple[int, int]:
    """Queues a run for each (task, trigger, event uid, event JSON, params JSON, depth), in their order.

    Returns:
        The number of queued runs, and how many of these are buffered.
    """
    tasks, triggers, uids, events, params, depths = (list(column) for column in zip(*matches, strict=True))
    queued, buffered = await SQL.enqueue_for_events.row(
        connection, tasks=tasks, triggers=triggers, uids=uids, events=events, params=params, depths=depths
    )
    return queued, buffered
