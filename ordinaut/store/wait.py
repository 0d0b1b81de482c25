"""What live runs wait for. Who ends a wait locks the run's row first; the first result wins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ordinaut.store import due_work_recover
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
DELAY = "DELAY"
APPROVAL = "APPROVAL"


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
    positions: list[int | None] = field(default_factory=list)
    deadlines_us: list[int | None] = field(default_factory=list)
    deadlines_ms: list[int | None] = field(default_factory=list)
    errors: list[str | None] = field(default_factory=list)

    def add(self, run: UUID, wait: Any, error: bytes = b"") -> None:
        """Appends one `Wait` of the engine; with an error as JSON it is over before it begins."""
        self.runs.append(run)
        self.paths.append(wait.path)
        self.kinds.append(wait.kind)
        self.tools.append(wait.tool)
        self.inputs.append(wait.input.decode() or None)
        self.topics.append(wait.topic)
        self.matches.append(wait.match.decode() or None)
        self.sinces.append(wait.since_us or None)
        self.positions.append(wait.after_position or None)
        self.deadlines_us.append(wait.deadline_us if wait.HasField("deadline_us") else None)
        self.deadlines_ms.append(wait.deadline_ms if wait.HasField("deadline_ms") else None)
        self.errors.append(error.decode() or None)


async def ask(
    connection: Connection, runs: Sequence[UUID], named: Sequence[tuple[UUID, str]], new: WaitColumns
) -> None:
    """Stores what locked runs wait for: `named` is all of it, by run and path, and `new` what may not be known yet."""
    asking, paths = [run for run, _ in named], [path for _, path in named]
    await SQL.give_up.run(connection, runs=list(runs), asking=asking, paths=paths)
    await SQL.ask.run(
        connection,
        runs=new.runs,
        paths=new.paths,
        kinds=new.kinds,
        tools=new.tools,
        inputs=new.inputs,
        topics=new.topics,
        matches=new.matches,
        sinces=new.sinces,
        positions=new.positions,
        deadlines_us=new.deadlines_us,
        deadlines_ms=new.deadlines_ms,
        errors=new.errors,
    )


async def asked(connection: Connection, runs: Sequence[UUID]) -> list[Record]:
    """What those runs wait for, in the shape of journal entries; those without a result are in state WAITING."""
    return await SQL.asked.rows(connection, runs=list(runs))


async def any_open(connection: Connection, projects: Sequence[str]) -> bool:
    """Whether any run of these projects waits for an event."""
    return bool(await SQL.any_open.value(connection, projects=list(projects)))


async def open_for(connection: Connection, projects: Sequence[str], topics: Sequence[str]) -> list[Record]:
    """Rows (run, path, project, topic, match, since, deadline) of waits that events of these topics may end."""
    return await SQL.open.rows(connection, projects=list(projects), topics=list(topics))


async def unscanned(connection: Connection, batch: int) -> list[Record]:
    """The same of waits that may have come later than their event, with their `scan_position`."""
    return await SQL.unscanned.rows(connection, batch=batch)


async def note_scans(connection: Connection, scans: Sequence[tuple[UUID, str, int, bool]]) -> None:
    """Notes for each (run, path) up to which position events have been looked through, and whether that is all."""
    if scans:
        runs, paths, positions, done = (list(column) for column in zip(*scans, strict=True))
        await SQL.note_scan.run(connection, runs=runs, paths=paths, positions=positions, done=done)


async def resolve(connection: Connection, results: Sequence[tuple[UUID, str, str]]) -> int:
    """Ends waits, each (run, path, result as JSON), and wakes their runs; returns how many were the first to do so."""
    if not results:
        return 0
    runs, paths, texts = (list(column) for column in zip(*results, strict=True))
    await due_work_recover.lock(connection, runs)
    rows = await SQL.resolve.rows(connection, runs=runs, paths=paths, results=texts)
    await due_work_recover.wake(connection, [row["run"] for row in rows])
    return len(rows)


async def expire(connection: Connection, batch: int) -> list[Record]:
    """Ends waits whose deadline has passed, of at most `batch` at a time, and wakes their runs.

    Returns:
        Their rows (run, path, kind); the approvals among them are to be closed in the same transaction.
    """
    runs = [row["run"] for row in await SQL.due.rows(connection, batch=batch)]
    if not runs:
        return []
    await due_work_recover.lock(connection, runs)
    rows = await SQL.expire.rows(connection, runs=runs)
    await due_work_recover.wake(connection, [row["run"] for row in rows])
    return rows
