"""Waits of live runs. A wait is ended under the lock of the run's row in due_work; the first result wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.queue import due_work_recover
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
DELAY = "DELAY"
APPROVAL = "APPROVAL"


@dataclass(frozen=True, slots=True)
class OpenWait:
    """A wait for an event, without a result so far.

    It takes events of the topic pattern `topic` up to `deadline` which meet `match` (JSON text, None: any), published
    at `since` or later, or, without it, after the run was created (the `log_*` columns: see `log_mark` in the schema),
    and not at one of the positions `taken`. `is_due`: the deadline has passed. `create_position` is the last position
    of the log when the wait was stored.
    """

    run: UUID
    path: str
    project: str
    topic: str
    match: str | None
    since: datetime | None
    log_position: int
    log_outbox_id: int
    log_xid: int
    taken: frozenset[int]
    deadline: datetime | None
    is_due: bool
    create_position: int


@dataclass(frozen=True, slots=True)
class ExpiredWait:
    """A wait that ended at its deadline."""

    run: UUID
    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class JournaledWait:
    """A wait in the form of a journal entry; its state is WAITING until it has a result. JSON is text."""

    run: UUID
    path: str
    tool: str
    input: str | None
    output: str | None
    error: str | None
    state: str
    start_us: int
    end_us: int


@dataclass(slots=True)
class WaitColumns:
    """New waits as the columns that a statement takes; JSON is text."""

    runs: list[UUID] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    inputs: list[str | None] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    matches: list[str | None] = field(default_factory=list)
    sinces: list[int | None] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    deadlines_us: list[int | None] = field(default_factory=list)
    deadlines_ms: list[int | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def add(self, run: UUID, wait: Any, error: bytes = b"") -> None:
        """Appends one `Wait` of the engine; with an error (JSON) it is stored as failed."""
        self.runs.append(run)
        self.paths.append(wait.path)
        self.kinds.append(wait.kind)
        self.tools.append(wait.tool)
        self.inputs.append(wait.input.decode() or None)
        self.topics.append(wait.topic)
        self.matches.append(wait.match.decode() or None)
        self.sinces.append(wait.since_us if wait.HasField("since_us") else None)
        self.taken.append(f"[{','.join(map(str, wait.taken_positions))}]")
        self.deadlines_us.append(wait.deadline_us if wait.HasField("deadline_us") else None)
        self.deadlines_ms.append(wait.deadline_ms if wait.HasField("deadline_ms") else None)
        self.errors.append(error.decode() or None)


async def put(
    connection: Connection, runs: Sequence[UUID], named: Sequence[tuple[UUID, str]], new: WaitColumns
) -> None:
    """Replaces the waits of locked runs: `named` are all of them, by run and path; `new` those not stored yet."""
    named_runs, paths = [run for run, _ in named], [path for _, path in named]
    await SQL.drop_unnamed.run(connection, runs=list(runs), named_runs=named_runs, paths=paths)
    await SQL.put.run(
        connection,
        runs=new.runs,
        paths=new.paths,
        kinds=new.kinds,
        tools=new.tools,
        inputs=new.inputs,
        topics=new.topics,
        matches=new.matches,
        sinces=new.sinces,
        taken=new.taken,
        deadlines_us=new.deadlines_us,
        deadlines_ms=new.deadlines_ms,
        errors=new.errors,
    )


async def journaled(connection: Connection, runs: Sequence[UUID]) -> list[JournaledWait]:
    """The waits of those runs as journal entries."""
    return [JournaledWait(*row) for row in await SQL.journaled.rows(connection, runs=list(runs))]


async def any_open(connection: Connection, projects: Sequence[str]) -> bool:
    """Whether any run of these projects waits for an event."""
    return bool(await SQL.any_open.value(connection, projects=list(projects)))


async def open_for(connection: Connection, projects: Sequence[str], topics: Sequence[str]) -> list[OpenWait]:
    """The scanned waits that events of these topics may end."""
    return [_open_wait(row) for row in await SQL.open.rows(connection, projects=list(projects), topics=list(topics))]


async def named(connection: Connection, runs: Sequence[UUID], paths: Sequence[str]) -> list[OpenWait]:
    """Those of the waits, each named by its run and path, that are open."""
    return [_open_wait(row) for row in await SQL.named.rows(connection, runs=list(runs), paths=list(paths))]


async def unscanned(connection: Connection, batch: int) -> list[OpenWait]:
    """The oldest waits for which the event log is not completely scanned."""
    return [_open_wait(row) for row in await SQL.unscanned.rows(connection, batch=batch)]


def _open_wait(row: Record) -> OpenWait:
    return OpenWait(**{**row, "taken": frozenset(row["taken"])})


async def note_scans(connection: Connection, waits: Sequence[OpenWait]) -> None:
    """Stores that the log is scanned for these waits, or will be by an entry of `match_todo`."""
    runs, paths = [each.run for each in waits], [each.path for each in waits]
    await SQL.note_scans.run(connection, runs=runs, paths=paths)


async def note_failures(connection: Connection, failures: Mapping[tuple[UUID, str], str]) -> None:
    """Stores for each (run, path) why its condition could not be evaluated on an event, if there is no reason yet."""
    if failures:
        runs, paths = (list(column) for column in zip(*failures, strict=True))
        await SQL.note_failures.run(connection, runs=runs, paths=paths, messages=list(failures.values()))


async def resolve(connection: Connection, results: Sequence[tuple[UUID, str, str]]) -> int:
    """Ends waits, each (run, path, result as JSON), and wakes their runs; returns how many had no result before."""
    if not results:
        return 0
    runs, paths, texts = (list(column) for column in zip(*results, strict=True))
    await due_work_recover.lock(connection, runs)
    rows = await SQL.resolve.rows(connection, runs=runs, paths=paths, results=texts)
    await due_work_recover.wake(connection, [row["run"] for row in rows])
    return len(rows)


async def expire(connection: Connection, batch: int) -> list[ExpiredWait]:
    """Ends waits past their deadline, at most `batch`, and wakes their runs.

    The approvals among them are to be closed in the same transaction.
    """
    runs = [row["run"] for row in await SQL.due.rows(connection, batch=batch)]
    if not runs:
        return []
    await due_work_recover.lock(connection, runs)
    expired = [ExpiredWait(*row) for row in await SQL.expire.rows(connection, runs=runs)]
    await due_work_recover.wake(connection, [wait.run for wait in expired])
    return expired
