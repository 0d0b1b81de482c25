"""Children: runs that steps of other runs have started, each once for the idempotency key of its step.

A step that waits for its child has a wait and an `awaited` row here, both from one transaction. Whoever ends such a
wait locks the row of the waiting run first.
"""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.store import due_work_recover
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
ROOT = "child:"
"""What the idempotency roots of children begin with."""


@dataclass(frozen=True, slots=True)
class Target:
    """A task that a step may start: its present version, and its live runs counted up to a limit.

    `in_turn`: a run of it waits until no other is live, also until one that waits itself has ended.
    """

    project: str
    name: str
    uid: UUID
    owner: str
    version: int
    live_runs: int
    in_turn: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """Under which rules a run runs; `run_policy` is JSON, as far as documents without a task take it over."""

    priority: int
    max_losses: int
    run_timeout: timedelta
    run_policy: str


@dataclass(slots=True)
class ChildColumns:
    """Children to be as the columns that a statement takes; JSON is text."""

    parents: list[UUID] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[UUID] = field(default_factory=list)
    tasks: list[UUID] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    start_times: list[datetime | None] = field(default_factory=list)
    delays_ms: list[int | None] = field(default_factory=list)
    awaited: list[bool] = field(default_factory=list)

    def without(self, keys: Container[UUID]) -> "ChildColumns":
        """The same without the children of those keys."""
        left = [place for place, key in enumerate(self.keys) if key not in keys]
        return ChildColumns(*([getattr(self, name)[place] for place in left] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Begun:
    """What became of a child to be: `run` is in the queue, or `live_run` stands in its way."""

    run: UUID | None
    live_run: UUID | None


def root_of(key: UUID) -> str:
    """The idempotency root of the child with that key; its occurrence key too."""
    return f"{ROOT}{key}"


async def targets(connection: Connection, names: Sequence[tuple[str, str]], count_to: int) -> list[Target]:
    """Those of the tasks, each (project, name), that exist; live runs are counted up to `count_to`."""
    projects, tasks = [project for project, _ in names], [name for _, name in names]
    rows = await SQL.targets.rows(connection, projects=projects, names=tasks, count_to=count_to)
    return [Target(**row) for row in rows]


async def rules(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, Rules]:
    """The rules of those live runs."""
    rows = await SQL.rules.rows(connection, runs=list(runs))
    return {row["id"]: Rules(*(row[name] for name in Rules.__slots__)) for row in rows}


async def counts(connection: Connection, parents: Sequence[UUID]) -> dict[UUID, int]:
    """How many children those runs have had, of those that have had any."""
    rows = await SQL.counts.rows(connection, parents=list(parents))
    return {row["parent"]: row["children"] for row in rows}


async def lines(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, set[UUID]]:
    """For each of those live runs the tasks of which no run can become live before it has ended."""
    found: dict[UUID, set[UUID]] = defaultdict(set)
    for row in await SQL.lines.rows(connection, runs=list(runs)):
        found[row["origin"]].add(row["task"])
    return found


async def known(connection: Connection, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """The newest child of each of those keys that has one; nobody else decides about them meanwhile."""
    return {row["key"]: row["run"] for row in await SQL.known.rows(connection, keys=list(keys))}


async def states(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, str]:
    """How those of the runs have ended that have."""
    return {row["id"]: row["state"] for row in await SQL.states.rows(connection, runs=list(runs))}


async def enqueue(connection: Connection, new: ChildColumns) -> dict[UUID, Begun]:
    """Queues children of locked runs, whose keys are not known; what became of each, by key."""
    begun = await _enqueue(connection, new)
    if len(begun) < len(new.keys):  # something stood in the way of some of them before
        again = new.without(begun)
        await SQL.forget_refusals.run(connection, tasks=again.tasks, keys=[root_of(key) for key in again.keys])
        begun |= await _enqueue(connection, again)
    return begun


async def _enqueue(connection: Connection, new: ChildColumns) -> dict[UUID, Begun]:
    """Those of which the ledger knows nothing yet."""
    rows = await SQL.enqueue.rows(
        connection,
        parents=new.parents,
        paths=new.paths,
        keys=new.keys,
        tasks=new.tasks,
        versions=new.versions,
        params=new.params,
        start_times=new.start_times,
        delays_ms=new.delays_ms,
        awaited=new.awaited,
    )
    return {row["key"]: Begun(row["run"], None if row["run"] else row["live_run"]) for row in rows}


async def adopt(connection: Connection, *, run: UUID, parent: UUID, path: str) -> None:
    """Has a step of `parent` wait for a child that an earlier run has started."""
    await SQL.adopt.run(connection, run=run, parent=parent, path=path)


async def new_id(connection: Connection) -> UUID:
    """The id of a run to be."""
    made: UUID = await SQL.new_id.value(connection)
    return made


async def params_schemas(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, str]:
    """The JSON Schemas that the params of those live runs must fit, of those that have one."""
    rows = await SQL.params_schemas.rows(connection, runs=list(runs))
    return {row["id"]: row["params_schema"] for row in rows}


async def settle(connection: Connection, runs: Sequence[UUID]) -> int:
    """Ends the waits for those of the runs that have ended, and wakes who waited; returns how many waits."""
    waiting = [row["parent"] for row in await SQL.waiting.rows(connection, runs=list(runs))]
    if not waiting:
        return 0
    await due_work_recover.lock(connection, waiting)
    rows = await SQL.settle.rows(connection, runs=list(runs), parents=waiting)
    await due_work_recover.wake(connection, [row["run"] for row in rows])
    return len(rows)


async def ended(connection: Connection, batch: int) -> list[UUID]:
    """At most `batch` children that have ended while their steps still wait."""
    return [row["run"] for row in await SQL.ended.rows(connection, batch=batch)]


async def abandon(connection: Connection, batch: int) -> list[Record]:
    """Rows (run, parent) of at most `batch` children that nobody waits for any more; each is given once."""
    locked = [row["run"] for row in await SQL.unwanted.rows(connection, batch=batch)]
    return await SQL.abandon.rows(connection, runs=locked) if locked else []
