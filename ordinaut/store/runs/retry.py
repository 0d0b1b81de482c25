"""Retries: new runs that continue from an ended run. Each is continued once: the retries of a run are a chain."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from ordinaut.store.runs import run_limit
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class RetryResult:
    """The result of a retry: `run` was enqueued.

    Otherwise `newer` is another retry of the run, or `live_run` prevents it, or the task has been deleted.
    """

    run: UUID | None
    live_run: UUID | None = None
    newer: UUID | None = None
    task_exists: bool = True


async def newest(connection: Connection, run: UUID) -> UUID:
    """Returns the last run in the chain of retries of a run; the run itself if it has not been retried."""
    newest_run: UUID = await SQL.newest.value(connection, run=run)
    return newest_run


async def latest_version(connection: Connection, task: UUID) -> int | None:
    """Returns the current version of a task; None for a deleted task, and for a run without a task."""
    version: int | None = await SQL.latest_version.value(connection, task=task)
    return version


async def saved_scopes(connection: Connection, task: UUID, version: int) -> frozenset[str]:
    """Returns the scopes of the token that saved a version, or that started a run without a task."""
    return frozenset(await SQL.saved_scopes.value(connection, task=task, version=version))


async def step_ids(connection: Connection, task: UUID, version: int) -> list[str]:
    """Returns the ids of the steps of a version, in the order of the document; without those inside of steps."""
    ids: list[str] = await SQL.step_ids.value(connection, task=task, version=version)
    return ids


async def enqueue(
    connection: Connection,
    *,
    retry_of: UUID,
    run: UUID,
    version: int | None = None,
    kept: Sequence[str] | None = None,
    starter_scopes: Collection[str] = (),
) -> RetryResult:
    """Enqueues `run` as the retry of an ended run, with the results of its completed steps; in a transaction.

    Only the first retry of a run is enqueued; nothing is stored if the result has no run. `version` is that of the
    ended run if None. `kept`: only results of these steps of the document, and new idempotency keys; None: all results,
    and the same keys. `starter_scopes` limit it if the version has `rights: LIMITED_BY_STARTER`.
    """
    if await SQL.claim.row(connection, retry_of=retry_of, run=run) is None:
        return RetryResult(None, newer=await newest(connection, retry_of))
    row = await SQL.enqueue.row(connection, retry_of=retry_of, run=run, version=version, fresh_keys=kept is not None)
    if row is None or row["run"] is None:
        await SQL.unclaim.run(connection, run=run)
        return RetryResult(None, row["live_run"]) if row is not None else RetryResult(None, task_exists=False)
    await SQL.copy_steps.run(connection, retry_of=retry_of, run=run, kept=None if kept is None else list(kept))
    await SQL.see_same_events.run(connection, retry_of=retry_of, run=run)
    await SQL.inherit.run(connection, retry_of=retry_of, run=run)
    if row["limited"]:
        await run_limit.add(connection, run=run, scopes=starter_scopes, retry_of=retry_of)
    return RetryResult(run)
