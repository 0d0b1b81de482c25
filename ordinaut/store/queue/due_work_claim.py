"""Claims of queue rows, the rows under a lease, and reads of the queue in the order of claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
CLASSES = tuple(range(1, 10))
LOWEST = datetime(1970, 1, 1, tzinfo=UTC)


# Not frozen, because every run is claimed at least once: a frozen dataclass sets its 27 fields through
# object.__setattr__, which takes 2.5 µs for a row instead of 0.4 µs. Nothing changes a claimed run.
@dataclass(slots=True)
class ClaimedRun:
    """A run leased to a worker; `params` and `event` are JSON texts.

    `remaining_seconds` is the rest of the run timeout, to which the `waited_ms` that the run was suspended do not
    count; `elapsed_ms` is the whole time since its first start. `cancel_requested`: only its steps that run after a
    cancellation are executed. `late_seconds` is the time since it was due. `project_revision` changes with the
    project's tools and agents.
    """

    id: UUID
    fence: int
    claims: int
    project: str
    task: UUID
    task_name: str
    task_version: int
    owner: str
    kind: str
    trigger: str
    occurrence: str
    root: str
    params: str
    event: str | None
    scheduled_time: datetime | None
    interval_end: datetime | None
    priority: int
    ready_time: datetime
    depth: int
    segment_time: datetime
    remaining_seconds: float
    waited_ms: int
    elapsed_ms: int
    cancel_requested: bool
    late_seconds: float
    project_revision: int


@dataclass(frozen=True, slots=True)
class JournaledStep:
    """An entry of a run's journal; JSON is text, times are microseconds since 1970."""

    run: UUID
    path: str
    attempt: int
    seq: int
    state: str
    tool: str
    input: str | None
    output: str | None
    error: str | None
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class LeasedRow:
    """A row under a lease."""

    id: UUID
    fence: int
    cancel_requested: bool


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The number of rows in a state; `oldest` is how long the oldest one has been claimable, None if none is."""

    state: str
    rows: int
    oldest: timedelta | None


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """The place of a live run: `ahead` claimable runs come before it.

    `exclusive` is the live run of its task that lets no other be live.
    """

    state: str
    due_time: datetime
    ready_time: datetime
    exclusive: UUID | None
    ahead: int


async def claim(
    connection: Connection, lease: UUID, hints: dict[int, datetime], batch: int, *, before: int = CLASSES[-1] + 1
) -> list[ClaimedRun]:
    """Leases up to `batch` READY rows of the classes below `before`, most urgent first; none if the lease is over.

    `hints` are the low-water marks by class: rows with a lower ready_time are not read.
    """
    classes = [priority for priority in CLASSES if priority < before]
    marks = [hints.get(priority, LOWEST) for priority in classes]
    rows = await SQL.claim.rows(connection, lease=lease, classes=classes, hints=marks, batch=batch)
    return [ClaimedRun(*row) for row in rows]


async def claim_quarantined(connection: Connection, lease: UUID) -> list[ClaimedRun]:
    """Leases the oldest group of runs that share a stream with no other run; at most 64."""
    return [ClaimedRun(*row) for row in await SQL.claim_quarantined.rows(connection, lease=lease)]


async def has_quarantined(connection: Connection) -> bool:
    """Whether a quarantined run can be claimed."""
    return bool(await SQL.has_quarantined.value(connection))


async def journal_of(connection: Connection, runs: Sequence[UUID]) -> list[JournaledStep]:
    """The journal entries of those runs, by run and in order."""
    return [JournaledStep(*row) for row in await SQL.journal_of.rows(connection, runs=list(runs))]


async def leased_rows(connection: Connection, lease: UUID) -> list[LeasedRow]:
    """The rows under a lease."""
    return [LeasedRow(*row) for row in await SQL.leased_rows.rows(connection, lease=lease)]


async def cancel_requests(connection: Connection, lease: UUID) -> set[UUID]:
    """The runs under a lease with a requested cancel."""
    return {row["id"] for row in await SQL.cancel_requests.rows(connection, lease=lease)}


async def depth_by_state(connection: Connection, project: str) -> list[QueueDepth]:
    """The number of a project's rows in each state that has any."""
    return [QueueDepth(*row) for row in await SQL.depth.rows(connection, project=project)]


async def oldest_unstarted(connection: Connection, task: UUID) -> UUID | None:
    """The oldest run of a task that is due and has not started."""
    run: UUID | None = await SQL.oldest_unstarted.value(connection, task=task)
    return run


async def queue_place(connection: Connection, run: UUID, count_to: int) -> QueuePlace | None:
    """The place of a live run, with runs ahead counted up to `count_to`; None if it has left the queue."""
    row = await SQL.queue_place.row(connection, run=run, count_to=count_to)
    return QueuePlace(*row) if row else None
