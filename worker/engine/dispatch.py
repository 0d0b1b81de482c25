"""From claimed rows to runs in an engine, and from the engine's frames to journal and completion."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ordinaut.clock import EPOCH, TICK
from ordinaut.internal.v1.pipeline_engine_service_pb2 import EngineFrame, JournalEntry, RunStart
from ordinaut.store import child, due_work, wait
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.definition import Loaded
from ordinaut.store.run import described
from ordinaut.store.sql import Connection, Record
from ordinaut.store.wait import JournaledWait
from ordinaut.telemetry import get_logger
from worker.completion import DELAY, SUSPEND, Completion, LastWord
from worker.effects.errors import EffectError
from worker.engine.definitions import Definitions
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRun, HeldRuns
from worker.journal import Entries, Journal
from worker.lease import Lease
from worker.metrics import CLAIMED, DUE_TO_START, LOST

log = get_logger()
RESULTS_MAX_BYTES = 16 * 1024 * 1024
"""Of all waits of one run that have ended together."""


@dataclass(slots=True)
class Recorded:
    """What a run has recorded so far, and the number of its next entry."""

    entries: list[JournalEntry]
    next_seq: int = 0


NOTHING = Recorded([])


class Dispatch:
    """Knows both sides: rows of the queue, and streams to engines."""

    def __init__(
        self, database: Database, lease: Lease, runs: HeldRuns, journal: Journal, completion: Completion
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._journal = journal
        self._completion = completion
        self._definitions = Definitions()

    async def start(self, connection: Connection, rows: Sequence[Record], streams: Sequence[EngineStream]) -> None:
        """Sends claimed rows to the streams that have most credit left; gives back what no engine takes any more."""
        again = [row["id"] for row in rows if _has_begun(row)]
        journals, waits = await _journals(connection, again), await _waits(connection, again)
        schemas = await _params_schemas(connection, rows)
        left: list[Record] = []
        for row in rows:
            loaded = await self._definitions.get(connection, row)
            stream = max(streams, key=lambda candidate: candidate.credit)
            if stream.credit > 0:
                journal, waited = journals.get(row["id"], NOTHING), waits.get(row["id"], ())
                self._start_one(row, loaded, journal, waited, schemas.get(row["id"], b""), stream)
            else:  # it broke since the claim
                left.append(row)
        CLAIMED.inc(len(rows) - len(left))
        if left:
            ids, fences = [row["id"] for row in left], [row["fence"] for row in left]
            await due_work.release(connection, self._lease.id, ids, fences)

    def on_frame(self, stream: EngineStream, frame: EngineFrame) -> None:
        """Passes on what an engine says."""
        for finished in frame.finished:
            if run := self._runs.get(finished.handle, stream):
                self._journal.add(Entries(run, finished.entries))
        for effect in frame.effects:
            if run := self._runs.get(effect.handle, stream):
                self._journal.add(Entries(run, effect.entries, effect))
        for ended in frame.runs:
            if run := self._runs.get(ended.handle, stream):
                self._completion.add(LastWord(run, ended.state, ended.entries, ended.output, ended.error))
        self._put_aside(stream, frame)

    def _put_aside(self, stream: EngineStream, frame: EngineFrame) -> None:
        for delayed in frame.delays:
            if run := self._runs.get(delayed.handle, stream):
                self._completion.add(LastWord(run, DELAY, delayed.entries, delay_ms=delayed.delay_ms))
        for suspended in frame.suspensions:
            if run := self._runs.get(suspended.handle, stream):
                word = LastWord(run, SUSPEND, suspended.entries, delay_ms=suspended.wake_ms, waits=suspended.waits)
                self._completion.add(word)

    async def on_lost(self, stream: EngineStream) -> None:
        """Gives the runs of a broken stream back to the queue, each counted as a loss unless the engine was stopped.

        The runs of a stream that the engine ended itself did not crash it. What cannot be given back now is found when
        the worker compares its rows with what it holds.
        """
        lost = self._runs.on(stream)
        if not lost:
            return
        give_back = due_work.release if stream.drained else due_work.lose
        LOST.inc(0 if stream.drained else len(lost))
        try:
            async with self._database.connection() as connection:
                ids, fences = [run.id for run in lost], [run.fence for run in lost]
                given_back = await give_back(connection, self._lease.id, ids, fences)
        except STORE_FAILURES as failure:
            log.warning("engine_loss_not_recorded", runs=len(lost), failure=str(failure))
        else:
            log.warning("engine_runs_returned", engine=stream.address, runs=given_back, stopped=stream.drained)
        finally:
            self._runs.drop(lost)

    def _start_one(
        self,
        row: Record,
        loaded: Loaded,
        recorded: Recorded,
        waits: Sequence[JournalEntry],
        params_schema: bytes,
        stream: EngineStream,
    ) -> None:
        run = HeldRun(
            handle=self._runs.next_handle(),
            id=row["id"],
            fence=row["fence"],
            project=row["project"],
            owner=row["owner"],
            scopes=loaded.scopes,
            depth=row["depth"],
            root=row["root"],
            stream=stream,
            next_seq=recorded.next_seq,
        )
        self._runs.add(run)
        if row["claims"] == 1:
            DUE_TO_START.observe(max(row["late_seconds"], 0))
        start = _run_start(run.handle, row, loaded.message.hash, recorded.entries, waits)
        start.params_schema = params_schema
        stream.start_run(loaded.message, start)


def _run_start(
    handle: int, row: Record, definition: str, journal: Sequence[JournalEntry], waits: Sequence[JournalEntry]
) -> RunStart:
    start = RunStart(
        handle=handle,
        hash=definition,
        root=row["root"],
        params=row["params"].encode(),
        event=(row["event"] or "").encode(),
        run=described(row),
        now_us=(row["segment_time"] - EPOCH) // TICK,
        remaining_ms=max(1, round(row["remaining_seconds"] * 1000)),
        waited_ms=row["waited_ms"],
        created_us=(row["create_time"] - EPOCH) // TICK,
        priority=row["priority"],
    )
    if journal or waits:  # setting an empty list costs as much as all the rest
        start.journal.extend(journal)
        start.waits.extend(waits)
    return start


def _has_begun(row: Record) -> bool:
    """Whether there may be a journal: of an earlier claim, or copied from the run that this one takes up."""
    return bool(row["claims"] > 1 or row["kind"] == "RETRY")


async def _journals(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, Recorded]:
    found: dict[UUID, Recorded] = {}
    for row in await due_work.journal_of(connection, runs) if runs else ():
        recorded = found.setdefault(row["run"], Recorded([]))
        recorded.entries.append(_entry(row))
        recorded.next_seq = row["seq"] + 1
    return found


async def _waits(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, list[JournalEntry]]:
    found: dict[UUID, list[JournalEntry]] = defaultdict(list)
    for stored in await wait.journaled(connection, runs) if runs else ():
        found[stored.run].append(_wait_entry(stored))
    for entries in found.values():
        bound_results(entries)
    return found


def bound_results(entries: Sequence[JournalEntry]) -> None:
    """Has waits fail whose results would make the run too large to be sent: always the same ones."""
    size = 0
    for entry in sorted(entries, key=lambda one: one.path):
        size += len(entry.output)
        if size > RESULTS_MAX_BYTES and entry.output:
            message = "what the run has waited for is too large together"
            refused = EffectError("PAYLOAD_TOO_LARGE", message).to_json(entry.path, entry.tool, entry.attempt)
            entry.state, entry.output, entry.error = "FAILED", b"", refused


async def _params_schemas(connection: Connection, rows: Sequence[Record]) -> dict[UUID, bytes]:
    """What the params of those runs must fit that steps have started: nobody has checked them so far."""
    children = [row["id"] for row in rows if row["root"].startswith(child.ROOT)]
    found = await child.params_schemas(connection, children) if children else {}
    return {run: schema.encode() for run, schema in found.items()}


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


def _entry(row: Any) -> JournalEntry:
    return JournalEntry(
        path=row["path"],
        attempt=row["attempt"],
        state=row["state"],
        tool=row["tool"],
        input=(row["input"] or "").encode(),
        output=(row["output"] or "").encode(),
        error=(row["error"] or "").encode(),
        start_us=row["start_us"],
        end_us=row["end_us"],
    )
