"""The journal: what a run has done is durable before it does the next thing. One commit for many runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Effect, JournalEntry
from ordinaut.store import due_work
from ordinaut.store.database import OUTCOME_UNKNOWN, REPEATABLE, Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker.completion import Completion, LastWord
from worker.effects.apply import perform
from worker.effects.child_runs import RUN_TASK
from worker.group_commit import GroupCommit
from worker.held_runs import HeldRun, HeldRuns
from worker.lease import Lease
from worker.metrics import DROPPED

log = get_logger()
LINGER_SECONDS = 0.002
LIMIT = 500


@dataclass(slots=True)
class Entries:
    """Journal entries of one run, and the effect that goes with them."""

    run: HeldRun
    entries: Sequence[JournalEntry]
    effect: Effect | None = None


class Journal:
    """Group-commits entries and effects, then tells each run's engine to go on."""

    def __init__(self, database: Database, lease: Lease, runs: HeldRuns, completion: Completion, hints: Hints) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._completion = completion
        self._hints = hints
        self.commits = GroupCommit("journal", self._write, self._refuse, linger_seconds=LINGER_SECONDS, limit=LIMIT)

    def add(self, entries: Entries) -> None:
        """Queues what one run has done, behind its write that may be on its way: one write of a run at a time."""
        if entries.run.writing:
            entries.run.queued.append(entries)
            return
        entries.run.writing = True
        self.commits.add(entries)

    async def _write(self, batch: Sequence[Entries]) -> None:
        batch = [entries for entries in batch if self._runs.holds(entries.run)]
        if not batch:
            return
        if not self._lease.good():
            log.warning("lease_lost", stage="journal", runs=len(batch))
            DROPPED.labels("journal").inc(len(batch))
            self._abandon(batch)
            return
        lease = self._lease.id
        try:
            results = await self._database.repeat(lambda connection: _record(connection, lease, batch))
        except (*OUTCOME_UNKNOWN, *REPEATABLE) as failure:
            log.warning("journal_outcome_unknown", runs=len(batch), failure=str(failure))
            self._abandon(batch)
            return
        self._hints.send(RUN, *_news_of(batch))
        for entries in batch:
            self._answer(entries, results)

    def _answer(self, entries: Entries, results: dict[UUID, JournalEntry | None]) -> None:
        run = entries.run
        run.writing = False
        if run.id not in results:
            log.warning("lease_lost", stage="journal", run=str(run.id), fence=run.fence)
            DROPPED.labels("journal").inc()
            self._abandon([entries])
            return
        if self._runs.holds(run) and run.last_word is None:
            run.stream.committed(run.handle, results[run.id])
        if run.queued:
            self.add(run.queued.popleft())
        elif run.last_word is not None:
            self._completion.add(run.last_word)

    def _abandon(self, batch: Sequence[Entries]) -> None:
        """Whatever became of these runs, the next claim reads the truth."""
        for entries in batch:
            entries.run.stream.cancel([entries.run.handle])
        self._runs.drop(entries.run for entries in batch)

    def _refuse(self, entries: Entries, failure: Exception) -> None:
        run = entries.run
        log.warning("journal_rejected", run=str(run.id), failure=str(failure))
        run.stream.cancel([run.handle])
        run.writing = False
        run.queued.clear()
        self._completion.add(LastWord.refused(run, failure))


def _news_of(batch: Sequence[Entries]) -> Iterator[str]:
    tools = {entries.effect.step.tool for entries in batch if entries.effect is not None}
    if tools:
        yield OUTBOX
    if RUN_TASK in tools:
        yield WORK


async def _record(connection: Connection, lease: UUID, batch: Sequence[Entries]) -> dict[UUID, JournalEntry | None]:
    """Locks, performs, inserts; the result of each run's effect, by run, for those that are still the worker's."""
    ordered = sorted(batch, key=lambda entries: entries.run.id)
    mine = await due_work.lock_mine(
        connection, lease, [entries.run.id for entries in ordered], [entries.run.fence for entries in ordered]
    )
    ordered = [entries for entries in ordered if entries.run.id in mine]
    asked = [(entries.run, entries.effect) for entries in ordered if entries.effect is not None]
    performed = await perform(connection, asked) if asked else {}
    steps = due_work.StepColumns()
    for entries in ordered:
        run = entries.run
        recorded = [*entries.entries, *([performed[run.id]] if entries.effect is not None else [])]
        for seq, entry in enumerate(recorded, run.next_seq):
            steps.add(run.id, seq, entry)
    await due_work.record_steps(connection, steps)
    for entries in ordered:
        entries.run.next_seq += len(entries.entries) + (entries.effect is not None)
    return {entries.run.id: performed.get(entries.run.id) for entries in ordered}
