"""The queue: one row per live run. Every statement that changes such a row stands here or in `cursor`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
CLASSES = tuple(range(1, 10))
ENDING_BATCH = 200
LOWEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a wish to run: `run` is in the queue, or `live_run` stands in its way; `reason` says why."""

    run: UUID | None
    live_run: UUID | None
    reason: str


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

    def add(self, run: UUID, seq: int, entry: Any) -> None:
        """Appends one `JournalEntry`, the `seq`-th of its run."""
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
    """Ended runs as the columns that `complete` takes, with their last steps."""

    ids: list[UUID] = field(default_factory=list)
    fences: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    outputs: list[str | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)
    steps: StepColumns = field(default_factory=StepColumns)


async def enqueue_manual(
    connection: Connection,
    *,
    task: UUID,
    run: UUID,
    params_json: str,
    priority: int | None,
    start_time: datetime | None,
) -> Enqueued:
    """Queues a run of `task`'s present version, if its overlap policy allows."""
    row = await SQL.enqueue_manual.row(
        connection, task=task, run=run, params=params_json, priority=priority, start_time=start_time
    )
    return Enqueued(**row)


async def enqueue_for_events(
    connection: Connection, matches: Sequence[tuple[UUID, str, str, str, str | None, int]]
) -> tuple[int, int]:
    """Queues a run for each (task, trigger, event uid, event JSON, params JSON, depth), in their order.

    Returns:
        How many were queued, and how many of these wait for their turn.
    """
    tasks, triggers, uids, events, params, depths = (list(column) for column in zip(*matches, strict=True))
    row = await SQL.enqueue_for_events.row(
        connection, tasks=tasks, triggers=triggers, uids=uids, events=events, params=params, depths=depths
    )
    return row["queued"], row["buffered"]


async def claim(
    connection: Connection, lease: UUID, hints: dict[int, datetime], batch: int, *, before: int = CLASSES[-1] + 1
) -> list[Record]:
    """Leases up to `batch` READY rows, most urgent first; none when the lease is over.

    `hints` are the low-water marks by class: rows below are not looked at. Only classes `before` one are.
    """
    classes = [priority for priority in CLASSES if priority < before]
    marks = [hints.get(priority, LOWEST) for priority in classes]
    return await SQL.claim.rows(connection, lease=lease, classes=classes, hints=marks, batch=batch)


async def claim_quarantined(connection: Connection, lease: UUID) -> list[Record]:
    """Leases the oldest group of runs that may share a stream with nothing else; at most 64."""
    return await SQL.claim_quarantined.rows(connection, lease=lease)


async def has_quarantined(connection: Connection) -> bool:
    """Whether any run waits for a stream of its own."""
    return bool(await SQL.has_quarantined.value(connection))


async def journal_of(connection: Connection, runs: Sequence[UUID]) -> list[Record]:
    """What those runs have recorded, by run and in order."""
    return await SQL.journal_of.rows(connection, runs=list(runs))


async def lock_mine(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> set[UUID]:
    """Locks and names the rows that the worker still owns."""
    rows = await SQL.lock_mine.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"] for row in rows}


async def record_steps(connection: Connection, steps: StepColumns) -> None:
    """Inserts journal entries of runs whose rows are locked."""
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
    """Ends the runs that the worker still owns, in one statement; names them."""
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
    """Gives runs back until their next try; names those that the worker still owned."""
    rows = await SQL.delay.rows(connection, lease=lease, ids=list(ids), fences=list(fences), delays=list(delays_ms))
    return {row["id"] for row in rows}


async def suspend(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> dict[UUID, str]:
    """Gives runs back whose waits are stored; READY or WAITING for each that the worker still owned."""
    rows = await SQL.suspend.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"]: row["state"] for row in rows}


async def lock(connection: Connection, ids: Sequence[UUID]) -> None:
    """Locks those rows that there are, in id order."""
    await SQL.lock.rows(connection, ids=list(ids))


async def wake(connection: Connection, ids: Sequence[UUID]) -> None:
    """Makes locked rows claimable that waited; how long they have waited does not count as time that they take."""
    await SQL.wake.run(connection, ids=list(ids))


async def release(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> int:
    """Gives rows back without counting a loss."""
    return len(await SQL.release.rows(connection, lease=lease, ids=list(ids), fences=list(fences)))


async def lose(connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]) -> int:
    """Gives back the rows of a lost engine; each loss narrows whom a run may share a stream with."""
    return len(await SQL.lose.rows(connection, lease=lease, ids=list(ids), fences=list(fences)))


async def held(connection: Connection, lease: UUID) -> list[Record]:
    """The rows (id, fence, cancel_requested) under a lease."""
    return await SQL.held.rows(connection, lease=lease)


async def cancels(connection: Connection, lease: UUID) -> set[UUID]:
    """The runs under a lease that are to be stopped."""
    return {row["id"] for row in await SQL.cancels.rows(connection, lease=lease)}


async def end_cancelled_mine(
    connection: Connection, lease: UUID, ids: Sequence[UUID], fences: Sequence[int]
) -> set[UUID]:
    """Ends runs as CANCELLED that the worker owns and was asked to stop; names them."""
    rows = await SQL.end_cancelled_mine.rows(connection, lease=lease, ids=list(ids), fences=list(fences))
    return {row["id"] for row in rows}


async def rescue(connection: Connection, batch: int) -> int:
    """Takes back up to `batch` rows of workers that are gone; returns how many."""
    return len(await SQL.rescue.rows(connection, batch=batch))


async def end_unclaimed(connection: Connection) -> int:
    """Ends suspects that were lost too often or are to be cancelled; returns how many."""
    return len(await SQL.end_unclaimed.rows(connection, batch=ENDING_BATCH))


async def end_unstarted(connection: Connection) -> int:
    """Ends runs that have not started by their deadline; returns how many."""
    return len(await SQL.end_unstarted.rows(connection, batch=ENDING_BATCH))


async def promote(connection: Connection, batch: int) -> int:
    """Makes up to `batch` delayed rows claimable whose time has come; returns how many."""
    return await SQL.promote.run(connection, batch=batch)


async def seconds_to_promotion(connection: Connection) -> float | None:
    """How long until the next delayed row is due, by the database's clock; None: there is none."""
    seconds: float | None = await SQL.seconds_to_promotion.value(connection)
    return seconds


async def request_cancel(connection: Connection, *, run: UUID, reason: str) -> str:
    """Cancels one run: `ENDED` in this transaction, `REQUESTED` from its worker, or `UNKNOWN`: it has no row."""
    while True:  # a row that changes hands between two statements is looked at again
        if await SQL.end_cancelled.rows(connection, runs=[run], task=None, reason=reason):
            return "ENDED"
        if await SQL.request_cancel.rows(connection, runs=[run], task=None, reason=reason):
            return "REQUESTED"
        requested = await SQL.cancel_is_requested.value(connection, run=run)
        if requested is not False:
            return "REQUESTED" if requested else "UNKNOWN"


async def cancel_task(connection: Connection, *, task: UUID, reason: str) -> None:
    """Cancels every live run of a task, also those that change hands meanwhile."""
    await _cancel_all(connection, runs=[], task=task, reason=reason)


async def cancel_runs(connection: Connection, *, runs: Sequence[UUID], reason: str) -> None:
    """Cancels those of the runs that are live, also those that change hands meanwhile."""
    await _cancel_all(connection, runs=runs, task=None, reason=reason)


async def _cancel_all(connection: Connection, *, runs: Sequence[UUID], task: UUID | None, reason: str) -> None:
    changed = True
    while changed:
        ended = await SQL.end_cancelled.rows(connection, runs=list(runs), task=task, reason=reason)
        requested = await SQL.request_cancel.rows(connection, runs=list(runs), task=task, reason=reason)
        changed = bool(ended or requested)


async def depth_by_state(connection: Connection) -> list[Record]:
    """Rows (state, rows, oldest: how long the oldest READY one has waited)."""
    return await SQL.depth.rows(connection)


async def database_now(connection: Connection) -> datetime:
    """What the database's clock says."""
    moment: datetime = await SQL.now.value(connection)
    return moment


async def oldest_unstarted(connection: Connection, task: UUID) -> UUID | None:
    """The oldest run of a task that has not started though its time has come."""
    run: UUID | None = await SQL.oldest_unstarted.value(connection, task=task)
    return run


async def place(connection: Connection, run: UUID, count_to: int) -> Record | None:
    """Where a live run stands: (state, due_time, ready_time, exclusive, ahead); None when it has left.

    `exclusive` is the run of its task beside which no other may be live. `ahead` are the claimable runs before it,
    counted up to `count_to`.
    """
    row: Record | None = await SQL.place.row(connection, run=run, count_to=count_to)
    return row
