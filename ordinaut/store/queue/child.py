"""Child runs: runs that steps of other runs have started, each once for the idempotency key of its step.

A step that waits for its child has a wait and an `awaited` row here, both written by one transaction. A transaction
that ends such a wait locks the row of the waiting run first.
"""

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.store.queue import due_work_recover
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
ROOT = "child:"
"""The prefix of the idempotency roots of child runs."""


@dataclass(frozen=True, slots=True)
class Target:
    """A task that a step may start, with its current version and its live runs, counted up to a limit.

    `buffers`: a run of it is buffered until no other run is live, and a live run that waits counts as live. `limited`:
    the run that starts it limits it. `over_quota`: its owner or project has no room for a live run.
    """

    project: str
    name: str
    uid: UUID
    owner: str
    version: int
    live_runs: int
    buffers: bool = False
    limited: bool = False
    over_quota: bool = False


@dataclass(frozen=True, slots=True)
class RunRules:
    """The rules of a run that its child runs without a task inherit; `run_policy` is JSON."""

    priority: int
    max_losses: int
    run_timeout: timedelta
    run_policy: str


@dataclass(slots=True)
class ChildColumns:
    """New child runs as the columns that a statement takes; JSON is text."""

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
        """Returns a copy without the children with these keys."""
        places = [place for place, key in enumerate(self.keys) if key not in keys]
        return ChildColumns(*([getattr(self, name)[place] for place in places] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class EnqueuedChild:
    """The result for a new child run: `run` was enqueued, or `live_run` prevents it."""

    run: UUID | None
    live_run: UUID | None


@dataclass(frozen=True, slots=True)
class AbandonedChild:
    """A child run that its parent no longer waits for."""

    run: UUID
    parent: UUID


def root_of(key: UUID) -> str:
    """Returns the idempotency root of the child with this key, which is also its occurrence key."""
    return f"{ROOT}{key}"


async def targets(connection: Connection, names: Sequence[tuple[str, str]], count_to: int) -> list[Target]:
    """Returns those of the tasks (project, name) that exist; live runs are counted up to `count_to`."""
    projects, tasks = [project for project, _ in names], [name for _, name in names]
    rows = await SQL.targets.rows(connection, projects=projects, names=tasks, count_to=count_to)
    return [Target(**row) for row in rows]


async def rules(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, RunRules]:
    """Returns the rules of these live runs."""
    rows = await SQL.rules.rows(connection, runs=list(runs))
    return {row["id"]: RunRules(*(row[name] for name in RunRules.__slots__)) for row in rows}


async def counts(connection: Connection, parents: Sequence[UUID]) -> dict[UUID, int]:
    """Returns the number of children of those runs that have any."""
    rows = await SQL.counts.rows(connection, parents=list(parents))
    return {row["parent"]: row["children"] for row in rows}


async def buffering_tasks(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, set[UUID]]:
    """Returns for each of these live runs the tasks of which no run can start before it has ended."""
    blocked: dict[UUID, set[UUID]] = defaultdict(set)
    for row in await SQL.buffering_tasks.rows(connection, runs=list(runs)):
        blocked[row["origin"]].add(row["task"])
    return blocked


async def newest(connection: Connection, keys: Sequence[UUID]) -> dict[UUID, UUID]:
    """Returns the newest child of each key that has one, and locks these rows."""
    return {row["key"]: row["run"] for row in await SQL.newest.rows(connection, keys=list(keys))}


async def states(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, str]:
    """Returns the final states of those runs that have ended."""
    return {row["id"]: row["state"] for row in await SQL.states.rows(connection, runs=list(runs))}


async def enqueue(connection: Connection, new: ChildColumns) -> dict[UUID, EnqueuedChild]:
    """Enqueues children of locked runs, for keys without a child; returns the result for each key."""
    results = await _enqueue(connection, new)
    if len(results) < len(new.keys):  # the others have a ledger row, because a live run prevented them before
        remaining = new.without(results)
        await SQL.delete_refusals.run(connection, tasks=remaining.tasks, keys=[root_of(key) for key in remaining.keys])
        results |= await _enqueue(connection, remaining)
    return results


async def _enqueue(connection: Connection, new: ChildColumns) -> dict[UUID, EnqueuedChild]:
    """Enqueues those children that have no ledger row."""
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
    return {row["key"]: EnqueuedChild(row["run"], None if row["run"] else row["live_run"]) for row in rows}


async def adopt(connection: Connection, *, run: UUID, parent: UUID, path: str) -> None:
    """Makes a step of `parent` wait for a child that an earlier run has started."""
    await SQL.adopt.run(connection, run=run, parent=parent, path=path)


async def new_id(connection: Connection) -> UUID:
    """Returns an id for a new run."""
    run: UUID = await SQL.new_id.value(connection)
    return run


async def params_schemas(connection: Connection, runs: Sequence[UUID]) -> dict[UUID, str]:
    """Returns the params_schema (JSON) of those live runs that have one."""
    rows = await SQL.params_schemas.rows(connection, runs=list(runs))
    return {row["id"]: row["params_schema"] for row in rows}


async def settle(connection: Connection, runs: Sequence[UUID]) -> int:
    """Ends the waits for those runs that have ended, and wakes their parents; returns the number of waits."""
    waiting = [row["parent"] for row in await SQL.waiting.rows(connection, runs=list(runs))]
    if not waiting:
        return 0
    await due_work_recover.lock(connection, waiting)
    rows = await SQL.settle.rows(connection, runs=list(runs), parents=waiting)
    await due_work_recover.wake(connection, [row["run"] for row in rows])
    return len(rows)


async def ended(connection: Connection, batch: int) -> list[UUID]:
    """Returns at most `batch` ended children that are still awaited."""
    return [row["run"] for row in await SQL.ended.rows(connection, batch=batch)]


async def abandon(connection: Connection, batch: int) -> list[AbandonedChild]:
    """Marks at most `batch` children that nothing awaits any more, and returns them; each is returned once."""
    locked = [row["run"] for row in await SQL.abandonable.rows(connection, batch=batch)]
    if not locked:
        return []
    return [AbandonedChild(**row) for row in await SQL.abandon.rows(connection, runs=locked)]
