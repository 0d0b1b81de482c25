"""The journal: what a run has done is durable before it does the next thing. One commit serves many runs."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.store.database import OUTCOME_UNKNOWN, REPEATABLE, Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker.completion import Completion
from worker.effects.apply import apply_effects
from worker.effects.child_runs import RUN_TASK
from worker.group_commit import GroupCommit
from worker.held_runs import HeldRun, HeldRuns
from worker.lease import Lease
from worker.metrics import DROPPED
from worker.run_result import RunResult, StepReport

log = get_logger()
LINGER_SECONDS = 0.002
LIMIT = 500


class Journal:
    """Group-commits journal entries and effects, then lets the engine of each run continue."""

    def __init__(self, database: Database, lease: Lease, runs: HeldRuns, completion: Completion, hints: Hints) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._completion = completion
        self._hints = hints
        self.commits = GroupCommit("journal", self._write, self._reject, linger_seconds=LINGER_SECONDS, limit=LIMIT)

    def add(self, run: HeldRun, report: StepReport) -> None:
        """Queues a report of a run, after its write that may be in flight.

        A run has at most one write in flight, of its journal or its result. Two could be in different transactions and
        commit in either order: an end could be stored without steps before it, and entries would be numbered from a
        `next_seq` that another write is about to change. Later reports wait in the run itself, the result waits for
        all of them.
        """
        if run.writing:
            run.reports.append(report)
            return
        run.writing = True
        self.commits.add((run, report))

    async def _write(self, batch: Sequence[tuple[HeldRun, StepReport]]) -> None:
        batch = [(run, report) for run, report in batch if self._runs.holds(run)]
        if not batch:
            return
        if not self._lease.is_live():
            log.warning("lease_lost", stage="journal", runs=len(batch))
            DROPPED.labels("journal").inc(len(batch))
            self._drop([run for run, _ in batch])
            return
        lease = self._lease.id
        try:
            results = await self._database.repeat(lambda connection: _record(connection, lease, batch))
        except (*OUTCOME_UNKNOWN, *REPEATABLE) as failure:
            log.warning("journal_outcome_unknown", runs=len(batch), failure=str(failure))
            self._drop([run for run, _ in batch])
            return
        self._hints.send(RUN, *_changed_topics(batch))
        for run, _ in batch:
            self._continue(run, results)

    def _continue(self, run: HeldRun, results: dict[UUID, JournalEntry | None]) -> None:
        """Acknowledges the write of a run to its engine, and starts the next write of the run."""
        run.writing = False
        if run.id not in results:
            log.warning("lease_lost", stage="journal", run=str(run.id), fence=run.fence)
            DROPPED.labels("journal").inc()
            self._drop([run])
            return
        if self._runs.holds(run) and run.result is None:
            run.stream.committed(run.handle, results[run.id])
        if run.reports:
            self.add(run, run.reports.popleft())
        elif run.result is not None:
            self._completion.add(run, run.result)

    def _drop(self, runs: Sequence[HeldRun]) -> None:
        """Stops runs whose entries may or may not be stored; the next claim reads what is.

        Nothing else is safe: an effect may have been applied in the lost commit, so it cannot be sent again, and the
        engine cannot continue without knowing. The rows stay leased until the claim loop finds them unheld and releases
        them; the next claim resumes each run from the stored journal.
        """
        for run in runs:
            run.stream.cancel([run.handle])
        self._runs.drop(runs)

    def _reject(self, item: tuple[HeldRun, StepReport], failure: Exception) -> None:
        run, _ = item
        log.warning("journal_rejected", run=str(run.id), failure=str(failure))
        run.stream.cancel([run.handle])
        run.writing = False
        run.reports.clear()
        self._completion.add(run, RunResult.rejected(failure))


def _changed_topics(batch: Sequence[tuple[HeldRun, StepReport]]) -> Iterator[str]:
    tools = {report.effect.step.tool for _, report in batch if report.effect is not None}
    if tools:
        yield OUTBOX
    if RUN_TASK in tools:
        yield WORK


async def _record(
    connection: Connection, lease: UUID, batch: Sequence[tuple[HeldRun, StepReport]]
) -> dict[UUID, JournalEntry | None]:
    """Locks the rows, applies effects and inserts the entries.

    Returns:
        The journal entry of the run's effect, or None, for each run that the worker still owns.
    """
    ordered = sorted(batch, key=lambda item: item[0].id)
    ids, fences = [run.id for run, _ in ordered], [run.fence for run, _ in ordered]
    owned = await due_work_finish.lock_owned(connection, lease, ids, fences)
    ordered = [(run, report) for run, report in ordered if run.id in owned]
    effects = [(run, report.effect) for run, report in ordered if report.effect is not None]
    applied = await apply_effects(connection, effects) if effects else {}
    steps = due_work_finish.StepColumns()
    for run, report in ordered:
        effect_entries = [applied[run.id]] if report.effect is not None else []
        steps.add_all(run.id, run.next_seq, [*report.entries, *effect_entries])
    await due_work_finish.record_steps(connection, steps)
    for run, report in ordered:
        run.next_seq += len(report.entries) + (report.effect is not None)
    return {run.id: applied.get(run.id) for run, _ in ordered}
