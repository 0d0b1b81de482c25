"""Completion: the results of claims are written in one commit for many runs, and the runs leave this worker."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import orjson

from ordinaut.store.database import OUTCOME_UNKNOWN, REPEATABLE, Database
from ordinaut.store.hints import OUTBOX, RUN, WAIT, WORK, Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.queue.due_work_finish import EndColumns, StepColumns
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker import metrics
from worker.group_commit import GroupCommit
from worker.held_runs import HeldRun, HeldRuns
from worker.lease import Lease
from worker.run_result import CANCELLED, DELAYED, FAILED, WAITING, RunResult
from worker.suspension import suspend

log = get_logger()
LINGER_SECONDS = 0.003
LIMIT = 500


class Completion:
    """Group-commits the results of claims."""

    def __init__(self, database: Database, lease: Lease, runs: HeldRuns, hints: Hints) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._hints = hints
        self.commits = GroupCommit("completion", self._write, self._reject, linger_seconds=LINGER_SECONDS, limit=LIMIT)

    def add(self, run: HeldRun, result: RunResult) -> None:
        """Queues the result of one claim, after the journal write of its run that may be in flight."""
        if run.writing:
            run.result = result
        else:
            self.commits.add((run, result))

    async def _write(self, batch: Sequence[tuple[HeldRun, RunResult]]) -> None:
        batch = [(run, result) for run, result in batch if self._runs.holds(run)]
        if not batch:
            return
        if self._lease.is_live():
            lease = self._lease.id
            try:
                written = await self._database.repeat(
                    lambda connection: _write_results(connection, lease, batch),
                    one_statement=all(result.completes for _, result in batch),
                )
            # The commit may have happened although its answer was lost. A repeat could not tell a run that has ended
            # from one whose lease was lost, and would block the group while the database is away. So the runs are
            # dropped. If the commit did not happen, their rows are still under this lease and not held: the claim loop
            # releases them, and the next claim resumes each run from its journal.
            except (*OUTCOME_UNKNOWN, *REPEATABLE) as failure:
                log.warning("completion_outcome_unknown", runs=len(batch), failure=str(failure))
            else:
                self._report(batch, written)
        else:
            log.warning("lease_lost", stage="completion", runs=len(batch))
            metrics.DROPPED.labels("completion").inc(len(batch))
        self._runs.drop(run for run, _ in batch)

    def _report(self, batch: Sequence[tuple[HeldRun, RunResult]], written: set[UUID]) -> None:
        """Sends hints and counts what was written."""
        any_waits = any(result.state == WAITING for _, result in batch)
        self._hints.send(RUN, OUTBOX, *((WAIT, WORK) if any_waits else ()))
        for state, count in Counter(result.state for run, result in batch if run.id in written).items():
            if state == DELAYED:
                metrics.DELAYED.inc(count)
            elif state == WAITING:
                metrics.SUSPENDED.inc(count)
            else:
                metrics.ENDED.labels(state).inc(count)
        for run, result in batch:
            if result.state == FAILED and run.id in written:
                _log_failure(run, result)
        if len(written) == len(batch):
            return
        for run, _ in batch:
            if run.id not in written:
                log.warning("lease_lost", stage="completion", run=str(run.id), fence=run.fence)
                metrics.DROPPED.labels("completion").inc()

    def _reject(self, item: tuple[HeldRun, RunResult], failure: Exception) -> None:
        run, result = item
        log.warning("completion_rejected", run=str(run.id), failure=str(failure))
        if result.replaces_rejected:  # it holds no data of the run: not even a failure can be stored for it now
            log.error("run_cannot_end", run=str(run.id), failure=str(failure))
            return
        self.commits.add((run, RunResult.rejected(failure)))


def _log_failure(run: HeldRun, result: RunResult) -> None:
    """Logs a failed run with the code and the step of its error, without the message, which may contain data."""
    error = orjson.loads(result.error or b"{}")
    log.warning(
        "run_failed",
        run=f"runs/{run.id}",
        project=run.project,
        owner=run.owner,
        code=error.get("code", ""),
        step=error.get("step", ""),
    )


async def _write_results(connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, RunResult]]) -> set[UUID]:
    """Writes the results; returns the runs that the worker still owned."""
    delayed = [(run, result) for run, result in batch if result.state == DELAYED]
    waiting = [(run, result) for run, result in batch if result.state == WAITING]
    cancelled = [(run, result) for run, result in batch if result.state == CANCELLED]
    ended = [(run, result) for run, result in batch if result.completes]
    written: set[UUID] = set()
    if delayed:
        written |= await _delay(connection, lease, delayed)
    if waiting:
        written |= (await suspend(connection, lease, waiting)).keys()
    if cancelled:
        written |= await _cancel(connection, lease, cancelled)
    if ended:
        written |= await due_work_finish.complete(connection, lease, _end_columns(ended))
    return written


async def _delay(connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, RunResult]]) -> set[UUID]:
    ids, fences = await _record_entries(connection, lease, batch)
    return await due_work_finish.delay(connection, lease, ids, fences, [result.delay_ms for _, result in batch])


async def _cancel(connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, RunResult]]) -> set[UUID]:
    ids, fences = await _record_entries(connection, lease, batch)
    return await due_work_finish.end_cancelled_owned(connection, lease, ids, fences)


async def _record_entries(
    connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, RunResult]]
) -> tuple[list[UUID], list[int]]:
    """Locks the rows and inserts the entries of runs that the worker still owns; returns the ids and fences of all."""
    ids, fences = [run.id for run, _ in batch], [run.fence for run, _ in batch]
    owned = await due_work_finish.lock_owned(connection, lease, ids, fences)
    steps = StepColumns()
    for run, result in batch:
        if run.id in owned:
            steps.add_all(run.id, run.next_seq, result.entries)
    await due_work_finish.record_steps(connection, steps)
    return ids, fences


def _end_columns(batch: Sequence[tuple[HeldRun, RunResult]]) -> EndColumns:
    """The columns in the order of run ids, which is the order of locks."""
    columns = EndColumns()
    for run, result in sorted(batch, key=lambda item: item[0].id):
        columns.ids.append(run.id)
        columns.fences.append(run.fence)
        columns.states.append(result.state)
        columns.outputs.append(result.output.decode() or None)
        columns.errors.append(result.error.decode() or None)
        columns.steps.add_all(run.id, run.next_seq, result.entries)
    return columns
