"""Between queue and engines: claimed runs go to the engines' streams, engine frames to journal and completion."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ordinaut.clock import EPOCH, TICK
from ordinaut.internal.v1.pipeline_engine_service_pb2 import EngineFrame, JournalEntry, RunStart
from ordinaut.limits import FINALLY_SECONDS
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.queue import child, due_work_claim, due_work_finish, wait
from ordinaut.store.queue.definition import RunDefinition
from ordinaut.store.queue.due_work_claim import ClaimedRun, JournaledStep
from ordinaut.store.queue.wait import JournaledWait
from ordinaut.store.runs.run import described
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker.completion import Completion
from worker.effects.errors import EffectError
from worker.engine.definitions import Definitions
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRun, HeldRuns
from worker.journal import Journal
from worker.lease import Lease
from worker.metrics import CLAIMED, DUE_TO_START, LOST
from worker.run_result import DELAYED, WAITING, RunResult, StepReport

log = get_logger()
MAX_RESULTS_BYTES = 16 * 1024 * 1024
"""Bytes of the results of all waits of one run together."""


@dataclass(slots=True)
class StoredJournal:
    """The journal entries of a run, and the number of its next entry."""

    entries: list[JournalEntry]
    next_seq: int = 0


EMPTY = StoredJournal([])


class Dispatch:
    """Starts claimed runs in engines, and passes on what engines report."""

    def __init__(
        self, database: Database, lease: Lease, runs: HeldRuns, journal: Journal, completion: Completion
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._journal = journal
        self._completion = completion
        self._definitions = Definitions()

    async def start(
        self, connection: Connection, claimed: Sequence[ClaimedRun], streams: Sequence[EngineStream]
    ) -> None:
        """Sends each run to the stream with the most credit; releases those for which no credit remains."""
        resumed = [run.id for run in claimed if _may_have_journal(run)]
        journals, waits = await _journals(connection, resumed), await _waits(connection, resumed)
        schemas = await _params_schemas(connection, claimed)
        unsent: list[ClaimedRun] = []
        for run in claimed:
            definition = await self._definitions.get(connection, run)
            stream = max(streams, key=lambda candidate: candidate.credit)
            if stream.credit > 0:
                journal, run_waits = journals.get(run.id, EMPTY), waits.get(run.id, ())
                self._start_one(run, definition, journal, run_waits, schemas.get(run.id, b""), stream)
            else:  # a stream broke after the claim
                unsent.append(run)
        CLAIMED.inc(len(claimed) - len(unsent))
        if unsent:
            ids, fences = [run.id for run in unsent], [run.fence for run in unsent]
            await due_work_finish.release(connection, self._lease.id, ids, fences)

    def on_frame(self, stream: EngineStream, frame: EngineFrame) -> None:
        """Passes the reports of a frame to the journal, and its results to the completion."""
        for finished in frame.finished:
            if run := self._runs.get(finished.handle, stream):
                self._journal.add(run, StepReport(finished.entries))
        for effect in frame.effects:
            if run := self._runs.get(effect.handle, stream):
                self._journal.add(run, StepReport(effect.entries, effect))
        self._add_results(stream, frame)

    def _add_results(self, stream: EngineStream, frame: EngineFrame) -> None:
        for ended in frame.runs:
            if run := self._runs.get(ended.handle, stream):
                self._completion.add(run, RunResult(ended.state, ended.entries, ended.output, ended.error))
        for delayed in frame.delays:
            if run := self._runs.get(delayed.handle, stream):
                self._completion.add(run, RunResult(DELAYED, delayed.entries, delay_ms=delayed.delay_ms))
        for suspended in frame.suspensions:
            if run := self._runs.get(suspended.handle, stream):
                result = RunResult(WAITING, suspended.entries, delay_ms=suspended.wake_ms, waits=suspended.waits)
                self._completion.add(run, result)

    async def on_lost(self, stream: EngineStream) -> None:
        """Returns the runs of a broken stream to the queue, each counted as a loss unless the engine ended the stream.

        If the database cannot be reached, the claim loop releases their rows later, as rows that are not held.
        """
        lost = self._runs.on(stream)
        if not lost:
            return
        give_back = due_work_finish.release if stream.drained else due_work_finish.lose
        LOST.inc(0 if stream.drained else len(lost))
        try:
            async with self._database.connection() as connection:
                ids, fences = [run.id for run in lost], [run.fence for run in lost]
                returned = await give_back(connection, self._lease.id, ids, fences)
        except STORE_FAILURES as failure:
            log.warning("engine_loss_not_recorded", runs=len(lost), failure=str(failure))
        else:
            log.warning("engine_runs_returned", engine=stream.address, runs=returned, stopped=stream.drained)
        finally:
            self._runs.drop(lost)

    def _start_one(
        self,
        claimed: ClaimedRun,
        definition: RunDefinition,
        journal: StoredJournal,
        waits: Sequence[JournalEntry],
        params_schema: bytes,
        stream: EngineStream,
    ) -> None:
        run = HeldRun(
            handle=self._runs.next_handle(),
            id=claimed.id,
            fence=claimed.fence,
            project=claimed.project,
            owner=claimed.owner,
            scopes=definition.scopes,
            depth=claimed.depth,
            root=claimed.root,
            stream=stream,
            next_seq=journal.next_seq,
        )
        if definition.has_finally:
            run.finally_seconds = FINALLY_SECONDS
        self._runs.add(run)
        if claimed.claims == 1:
            DUE_TO_START.observe(max(claimed.late_seconds, 0))
        start = _run_start(run.handle, claimed, definition.message.hash, journal.entries, waits)
        start.params_schema = params_schema
        stream.start_run(definition.message, start)


def _run_start(
    handle: int,
    claimed: ClaimedRun,
    definition_hash: str,
    journal: Sequence[JournalEntry],
    waits: Sequence[JournalEntry],
) -> RunStart:
    start = RunStart(
        handle=handle,
        hash=definition_hash,
        root=claimed.root,
        params=claimed.params.encode(),
        event=(claimed.event or "").encode(),
        run=described(claimed),
        now_us=(claimed.segment_time - EPOCH) // TICK,
        remaining_ms=max(1, round(claimed.remaining_seconds * 1000)),
        waited_ms=claimed.waited_ms,
        elapsed_ms=claimed.elapsed_ms,
        cancelled=claimed.cancel_requested,
        priority=claimed.priority,
    )
    if journal or waits:  # setting an empty list costs as much as all other fields together
        start.journal.extend(journal)
        start.waits.extend(waits)
    return start


def _may_have_journal(run: ClaimedRun) -> bool:
    """Whether there may be a journal: of an earlier claim, or copied from the run that this one retries."""
    return run.claims > 1 or run.kind == "RETRY"


async def _journals(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, StoredJournal]:
    journals: dict[UUID, StoredJournal] = {}
    for step in await due_work_claim.journal_of(connection, runs) if runs else ():
        journal = journals.setdefault(step.run, StoredJournal([]))
        journal.entries.append(_step_entry(step))
        journal.next_seq = step.seq + 1
    return journals


async def _waits(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, list[JournalEntry]]:
    waits: dict[UUID, list[JournalEntry]] = defaultdict(list)
    for stored in await wait.journaled(connection, runs) if runs else ():
        waits[stored.run].append(_wait_entry(stored))
    for entries in waits.values():
        limit_results(entries)
    return waits


def limit_results(entries: Sequence[JournalEntry]) -> None:
    """Fails waits with results that make the run too large to send: by path, so the same ones in each claim."""
    size = 0
    for entry in sorted(entries, key=lambda entry: entry.path):
        size += len(entry.output)
        if size > MAX_RESULTS_BYTES and entry.output:
            message = f"the results of the run's waits must be at most {MAX_RESULTS_BYTES} bytes together (got {size})"
            error = EffectError("PAYLOAD_TOO_LARGE", message).to_json(entry.path, entry.tool, entry.attempt)
            entry.state, entry.output, entry.error = "FAILED", b"", error


async def _params_schemas(connection: Connection, claimed: Sequence[ClaimedRun]) -> dict[UUID, bytes]:
    """The JSON Schemas for the params of child runs; the params of other runs were checked when they were created."""
    children = [run.id for run in claimed if run.root.startswith(child.ROOT)]
    schemas = await child.params_schemas(connection, children) if children else {}
    return {run: schema.encode() for run, schema in schemas.items()}


def _step_entry(step: JournaledStep) -> JournalEntry:
    return JournalEntry(
        path=step.path,
        attempt=step.attempt,
        state=step.state,
        tool=step.tool,
        input=(step.input or "").encode(),
        output=(step.output or "").encode(),
        error=(step.error or "").encode(),
        start_us=step.start_us,
        end_us=step.end_us,
    )


def _wait_entry(stored: JournaledWait) -> JournalEntry:
    return JournalEntry(
        path=stored.path,
        attempt=1,
        state=stored.state,
        tool=stored.tool,
        input=(stored.input or "").encode(),
        output=(stored.output or "").encode(),
        error=(stored.error or "").encode(),
        start_us=stored.start_us,
        end_us=stored.end_us,
    )
