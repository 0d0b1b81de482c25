"""Completion: runs that have ended, or go on later, leave this worker in one commit for many."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.store import due_work
from ordinaut.store.database import OUTCOME_UNKNOWN, REPEATABLE, Database
from ordinaut.store.hints import OUTBOX, RUN, WAIT, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker.group_commit import GroupCommit
from worker.held_runs import HeldRun, HeldRuns
from worker.lease import Lease
from worker.metrics import DELAYED, DROPPED, ENDED, SUSPENDED
from worker.suspension import suspend

log = get_logger()
LINGER_SECONDS = 0.003
LIMIT = 500
DELAY = "DELAYED"
SUSPEND = "WAITING"
FAILED = "FAILED"
AWAY = {DELAY: DELAYED, SUSPEND: SUSPENDED}


@dataclass(slots=True)
class LastWord:
    """How one claim ends: SUCCEEDED or FAILED with output or error as JSON, DELAYED by `delay_ms`, or WAITING.

    A run that waits goes on after `delay_ms` in any case, unless that is 0.
    """

    run: HeldRun
    state: str
    entries: Sequence[JournalEntry] = field(default_factory=tuple)
    output: bytes = b""
    error: bytes = b""
    delay_ms: int = 0
    waits: Sequence[Wait] = field(default_factory=tuple)
    refused_before: bool = False

    @classmethod
    def refused(cls, run: HeldRun, failure: Exception) -> "LastWord":
        """The end of a run whose data PostgreSQL cannot store; it holds no data of the run."""
        error = {
            "code": "VALIDATION_OUTPUT",
            "message": f"the run's data cannot be stored: {failure}",
            "retryable": False,
        }
        return cls(run, "FAILED", error=orjson.dumps(error), refused_before=True)


class Completion:
    """Group-commits the ends of runs."""

    def __init__(self, database: Database, lease: Lease, runs: HeldRuns, hints: Hints) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._hints = hints
        self.commits = GroupCommit("completion", self._write, self._refuse, linger_seconds=LINGER_SECONDS, limit=LIMIT)

    def add(self, word: LastWord) -> None:
        """Queues the end of one claim, behind the journal write of its run that may be on its way."""
        if word.run.writing:
            word.run.last_word = word
        else:
            self.commits.add(word)

    async def _write(self, batch: Sequence[LastWord]) -> None:
        batch = [word for word in batch if self._runs.holds(word.run)]
        if not batch:
            return
        if self._lease.good():
            lease = self._lease.id
            try:
                done = await self._database.repeat(
                    lambda connection: _end(connection, lease, batch),
                    one_statement=all(word.state not in AWAY for word in batch),
                )
            except (*OUTCOME_UNKNOWN, *REPEATABLE) as failure:
                log.warning("completion_outcome_unknown", runs=len(batch), failure=str(failure))
            else:
                self._account(batch, done)
        else:
            log.warning("lease_lost", stage="completion", runs=len(batch))
            DROPPED.labels("completion").inc(len(batch))
        self._runs.drop(word.run for word in batch)

    def _account(self, batch: Sequence[LastWord], done: set[UUID]) -> None:
        self._hints.send(RUN, OUTBOX, *([WAIT, WORK] if any(word.state == SUSPEND for word in batch) else []))
        for state, runs in Counter(word.state for word in batch if word.run.id in done).items():
            (AWAY[state] if state in AWAY else ENDED.labels(state)).inc(runs)
        for word in batch:
            if word.state == FAILED and word.run.id in done:
                _log_failure(word)
        if len(done) == len(batch):
            return
        for word in batch:
            if word.run.id not in done:
                log.warning("lease_lost", stage="completion", run=str(word.run.id), fence=word.run.fence)
                DROPPED.labels("completion").inc()

    def _refuse(self, word: LastWord, failure: Exception) -> None:
        log.warning("completion_rejected", run=str(word.run.id), failure=str(failure))
        if word.refused_before:  # nothing of the run is left that could be at fault: the lease's end is its next chance
            log.error("run_cannot_end", run=str(word.run.id), failure=str(failure))
            return
        self.commits.add(LastWord.refused(word.run, failure))


def _log_failure(word: LastWord) -> None:
    """Logs a failed run with the code and the step of its error, without the message, which may contain data."""
    error = orjson.loads(word.error or b"{}")
    log.warning(
        "run_failed",
        run=f"runs/{word.run.id}",
        project=word.run.project,
        owner=word.run.owner,
        code=error.get("code", ""),
        step=error.get("step", ""),
    )


async def _end(connection: Connection, lease: UUID, batch: Sequence[LastWord]) -> set[UUID]:
    ended = sorted(
        (word for word in batch if word.state not in AWAY), key=lambda word: word.run.id
    )  # the order of locks
    delayed = [word for word in batch if word.state == DELAY]
    suspended = [word for word in batch if word.state == SUSPEND]
    done: set[UUID] = set()
    if delayed:
        done |= await _delay(connection, lease, delayed)
    if suspended:
        done |= (await suspend(connection, lease, suspended)).keys()
    if ended:
        done |= await due_work.complete(connection, lease, _columns(ended))
    return done


async def _delay(connection: Connection, lease: UUID, words: Sequence[LastWord]) -> set[UUID]:
    ids, fences = [word.run.id for word in words], [word.run.fence for word in words]
    mine = await due_work.lock_mine(connection, lease, ids, fences)
    steps = due_work.StepColumns()
    for word in words:
        if word.run.id in mine:
            for seq, entry in enumerate(word.entries, word.run.next_seq):
                steps.add(word.run.id, seq, entry)
    await due_work.record_steps(connection, steps)
    return await due_work.delay(connection, lease, ids, fences, [word.delay_ms for word in words])


def _columns(words: Sequence[LastWord]) -> due_work.EndColumns:
    columns = due_work.EndColumns()
    for word in words:
        run = word.run
        columns.ids.append(run.id)
        columns.fences.append(run.fence)
        columns.states.append(word.state)
        columns.outputs.append(word.output.decode() or None)
        columns.errors.append(word.error.decode() or None)
        for seq, entry in enumerate(word.entries, run.next_seq):
            columns.steps.add(run.id, seq, entry)
    return columns
