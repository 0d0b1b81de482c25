"""Writes of a worker about the runs that it holds, and cancellation: how claims end and how runs leave the queue.

A write changes the rows that the worker still owns, and returns or counts exactly these.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(slots=True)
class StepColumns:
    """Journal entries as the columns that a statement takes; JSON is text, times are microseconds since 1970."""

    runs: list[UUID] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    inputs: list[str | None] = field(default_factory=list)
    outputs: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add_all(self, run: UUID, first_seq: int, entries: Iterable[JournalEntry]) -> None:
        """Appends entries of a run, numbered from `first_seq`."""
        for seq, entry in enumerate(entries, first_seq):
            self.add(run, seq, entry)

    def add(self, run: UUID, seq: int, entry: JournalEntry) -> None:
        """Appends the `seq`-th entry of a run."""
        self.runs.append(run)
        self.paths.append(entry.path)
        self.attempts.append(entry.attempt)
        self.seqs.append(seq)
        self.states.append(entry.state)
        self.tools.append(entry.tool)
        self.inputs.append(entry.input.decode() or None)
        self.outputs.append(entry.output.decode() or None)
        self.errors.append(entry.error.decode() or None)
        self.starts.append(entry.start_us)
        self.ends.append(entry.end_us)


@dataclass(slots=True)
class EndColumns:
    """Ended runs as the columns that `complete` takes, with their last steps; JSON is text."""

    ids: list[UUID] = field(default_factory=list)
    fences: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    outputs: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    steps: StepColumns = field(default_factory=StepColumns)


async def lock_owned(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> set[UUID]:
    """Locks the rows; returns the ids of those that the worker still owns."""
    rows = await SQL.lock_owned.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"] for row in rows}


async def record_steps(connection: Connection, steps: StepColumns) -> None:
    """Inserts journal entries of locked rows."""
    await SQL.record_steps.run(
        connection,
        runs=steps.runs,
        paths=steps.paths,
        attempts=steps.attempts,
        seqs=steps.seqs,
        states=steps.states,
        tools=steps.tools,
        inputs=steps.inputs,
        outputs=steps.outputs,
        errors=steps.errors,
        starts=steps.starts,
        ends=steps.ends,
    )


async def complete(connection: Connection, lease: UUID, ended: EndColumns) -> set[UUID]:
    """Ends runs in one statement; returns the ids of those that the worker still owned."""
    steps = ended.steps
    rows = await SQL.complete.rows(
        connection,
        lease=lease,
        ids=ended.ids,
        fences=ended.fences,
        states=ended.states,
        outputs=ended.outputs,
        errors=ended.errors,
        runs=steps.runs,
        paths=steps.paths,
        attempts=steps.attempts,
        seqs=steps.seqs,
        step_states=steps.states,
        tools=steps.tools,
        inputs=steps.inputs,
        step_outputs=steps.outputs,
        step_errors=steps.errors,
        starts=steps.starts,
        ends=steps.ends,
    )
    return {row["id"] for row in rows}


async def delay(
    connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int], delays_ms: Sequence[int]
) -> set[UUID]:
    """Returns runs to the queue until their next attempt; the ids of those that the worker still owned."""
    rows = await SQL.delay.rows(connection, lease=lease, ids=list(ids), fences=list(fences), delays=list(delays_ms))
    return {row["id"] for row in rows}


async def suspend(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> dict[UUID, str]:
    """Returns runs with stored waits to the queue; READY or WAITING for each that the worker still owned."""
    rows = await SQL.suspend.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"]: row["state"] for row in rows}


async def release(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> int:
    """Returns rows to the queue without counting a loss; the number of them."""
    return len(await SQL.release.rows(connection, lease=lease, ids=list(ids), fences=list(fences)))


async def lose(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> int:
    """Returns the rows of a lost engine to the queue, with a smaller isolation size; the number of them."""
    return len(await SQL.lose.rows(connection, lease=lease, ids=list(ids), fences=list(fences)))


async def end_cancelled_owned(
    connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]
) -> set[UUID]:
    """Ends runs as CANCELLED that the worker owns and that have a requested cancel; returns their ids."""
    rows = await SQL.end_cancelled_owned.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"] for row in rows}


async def request_cancel(connection: Connection, *, run: UUID, reason: str) -> str:
    """Cancels one run: `ENDED` in this transaction, `REQUESTED` from its worker, or `UNKNOWN` if it has no row."""
    while True:  # a row that is claimed or returned between two statements is read again
        if await SQL.end_cancelled.rows(connection, runs=[run], task=None, reason=reason):
            return "ENDED"
        if await SQL.request_cancel.rows(connection, runs=[run], task=None, reason=reason):
            return "REQUESTED"
        requested = await SQL.cancel_is_requested.value(connection, run=run)
        if requested is not False:
            return "REQUESTED" if requested else "UNKNOWN"


async def cancel_task(connection: Connection, *, task: UUID, reason: str) -> None:
    """Cancels every live run of a task, also those that are claimed or returned at the same time."""
    await _cancel_all(connection, runs=[], task=task, reason=reason)


async def cancel_runs(connection: Connection, *, runs: Sequence[UUID], reason: str) -> None:
    """Cancels the live ones of the runs, also those that are claimed or returned at the same time."""
    await _cancel_all(connection, runs=runs, task=None, reason=reason)


async def _cancel_all(connection: Connection, *, runs: Sequence[UUID], task: UUID | None, reason: str) -> None:
    changed = True
    while changed:
        ended = await SQL.end_cancelled.rows(connection, runs=list(runs), task=task, reason=reason)
        requested = await SQL.request_cancel.rows(connection, runs=list(runs), task=task, reason=reason)
        changed = bool(ended or requested)
