"""The journal: what a run has done is durable before it does the next thing. One commit serves many runs."""

from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.store.database import DATA_ERRORS, OUTCOME_UNKNOWN, REPEATABLE, Database
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
REPORTS_OF_ONE_RUN = 200
Reports = tuple[HeldRun, Sequence[StepReport]]


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
        """Queues a report of a run.

        A run has at most one write in flight, of its journal or its result. Two could be in different transactions and
        commit in either order: an end could be stored without steps before it, and entries would be numbered from a
        `next_seq` that another write is about to change. Reports that arrive during a write go together into the next
        one, and the result waits for all of them.
        """
        run.reports.append(report)
        if not run.writing:
            run.writing = True
            self.commits.add(run)

    async def _write(self, batch: Sequence[HeldRun]) -> None:
        """Writes the reports of each run.

        If PostgreSQL rejects the reports of a single run, they are written one by one, so that those before the
        rejected one are kept.
        """
        reports = [(run, list(islice(run.reports, REPORTS_OF_ONE_RUN))) for run in batch if self._runs.holds(run)]
        try:
            await self._write_reports(reports)
        except DATA_ERRORS:
            if len(reports) != 1 or len(reports[0][1]) == 1:
                raise
            run, several = reports[0]
            for report in several:
                if self._runs.holds(run):
                    await self._write_reports([(run, [report])])
        for run, _ in reports:
            if self._runs.holds(run):
                self._start_next(run)

    def _start_next(self, run: HeldRun) -> None:
        """Queues the next write of a run, of its journal or its result, after the one that is durable."""
        if run.reports:
            self.commits.add(run)
            return
        run.writing = False
        if run.result is not None:
            self._completion.add(run, run.result)

    async def _write_reports(self, batch: Sequence[Reports]) -> None:
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
        for run, reports in batch:
            self._continue(run, len(reports), results.get(run.id))

    def _continue(self, run: HeldRun, written: int, results: Sequence[JournalEntry | None] | None) -> None:
        """Acknowledges the reports of a run to its engine; `results` is None if the run was lost."""
        if results is None:
            log.warning("lease_lost", stage="journal", run=str(run.id), fence=run.fence)
            DROPPED.labels("journal").inc()
            self._drop([run])
            return
        for _ in range(written):
            run.reports.popleft()
        if self._runs.holds(run) and run.result is None:
            for result in results:
                run.stream.committed(run.handle, result)

    def _drop(self, runs: Sequence[HeldRun]) -> None:
        """Stops runs whose entries may or may not be stored; the next claim reads what is.

        Nothing else is safe: an effect may have been applied in the lost commit, so it cannot be sent again, and the
        engine cannot continue without knowing. The rows stay leased until the claim loop finds them unheld and releases
        them; the next claim resumes each run from the stored journal.
        """
        for run in runs:
            run.stream.cancel([run.handle])
        self._runs.drop(runs)

    def _reject(self, run: HeldRun, failure: Exception) -> None:
        log.warning("journal_rejected", run=str(run.id), failure=str(failure))
        run.stream.cancel([run.handle])
        run.writing = False
        run.reports.clear()
        self._completion.add(run, RunResult.rejected(failure))


def _changed_topics(batch: Sequence[Reports]) -> Iterator[str]:
    tools = {report.effect.step.tool for _, reports in batch for report in reports if report.effect is not None}
    if tools:
        yield OUTBOX
    if RUN_TASK in tools:
        yield WORK


async def _record(
    connection: Connection, lease: UUID, batch: Sequence[Reports]
) -> dict[UUID, list[JournalEntry | None]]:
    """Locks the rows, applies effects and inserts the entries.

    Returns:
        For each run that the worker still owns and each of its reports: the entry of the effect, or None.
    """
    ordered = sorted(batch, key=lambda item: item[0].id)
    ids, fences = [run.id for run, _ in ordered], [run.fence for run, _ in ordered]
    owned = await due_work_finish.lock_owned(connection, lease, ids, fences)
    ordered = [(run, reports) for run, reports in ordered if run.id in owned]
    effects = [(run, report.effect) for run, reports in ordered for report in reports if report.effect is not None]
    applied = iter(await apply_effects(connection, effects) if effects else ())
    steps = due_work_finish.StepColumns()
    results: dict[UUID, list[JournalEntry | None]] = {}
    counts: dict[UUID, int] = {}
    for run, reports in ordered:
        entries: list[JournalEntry] = []
        results[run.id] = [next(applied) if report.effect is not None else None for report in reports]
        for report, result in zip(reports, results[run.id], strict=True):
            entries += [*report.entries, result] if result is not None else report.entries
        steps.add_all(run.id, run.next_seq, entries)
        counts[run.id] = len(entries)
    await due_work_finish.record_steps(connection, steps)
    for run, _ in ordered:
        run.next_seq += counts[run.id]
    return results
