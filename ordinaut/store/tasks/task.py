"""Tasks and their immutable versions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.expressions.semantics import CURRENT
from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries
from ordinaut.store.tasks import task_health

SQL = Queries(__file__)
FIELDS = {
    "name": Field("'tasks/' || t.name", sort="t.name"),
    "owner": Field("t.owner"),
    "display_name": Field("t.display_name"),
    "description": Field("t.description"),
    "labels": Field("t.labels", Kind.MAP),
    "state": Field("t.state", choices=frozenset({"ACTIVE", "PAUSED", "COMPLETED"})),
    "version": Field("t.version", Kind.NUMBER),
    "create_time": Field("t.create_time", Kind.TIME, sort="t.create_time"),
    "update_time": Field("t.update_time", Kind.TIME, sort="t.update_time"),
}


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task with its current version.

    `labels`, `pipeline`, `schedule`, `run_policy`, `params` and `params_schema` are JSON texts as they are stored;
    `semantics` is the revision of the meaning of expressions with which the pipeline was accepted, `scopes` the rights
    of the token that saved the version.
    """

    uid: UUID
    project: str
    name: str
    owner: str
    display_name: str
    description: str
    labels: str
    state: str
    state_reason: str
    version: int
    revision: int
    create_time: datetime
    update_time: datetime
    pipeline: str
    semantics: int
    scopes: list[str]
    schedule: str
    run_policy: str
    params: str
    params_schema: str | None


@dataclass(frozen=True, slots=True)
class Definition:
    """The content of a version: JSON texts, and the parts that the queue reads, as separate columns.

    `semantics` is the revision of the meaning of the expressions in `pipeline`. `scopes` are the rights of the token
    that saves it, sorted; runs have those that their owner has as well.
    """

    pipeline: str
    tools: list[str]
    scopes: list[str]
    schedule: str
    run_policy: str
    params: str
    params_schema: str | None
    overlap: str | None
    priority: int
    max_losses: int
    run_timeout: timedelta
    max_buffer: int | None = None
    ignore_waiting: bool = False
    start_deadline: timedelta | None = None
    pause_after_failures: int | None = None
    expect_success_every: timedelta | None = None
    semantics: int = CURRENT

    @property
    def tracks_health(self) -> bool:
        """Whether the outcomes of runs change the state of the task."""
        return self.pause_after_failures is not None or self.expect_success_every is not None


@dataclass(frozen=True, slots=True)
class Description:
    """The descriptive fields of a task; a change of them creates no version. `labels` is JSON."""

    display_name: str
    description: str
    labels: str


@dataclass(frozen=True, slots=True)
class TaskToRun:
    """The data that RunTask needs: the task, a new id for the run, and the number of live runs, up to a limit.

    `limited`: what starts it limits it.
    """

    uid: UUID
    owner: str
    version: int
    limited: bool
    run: UUID
    params: str
    params_schema: str | None
    live_runs: int


async def create(
    connection: Connection,
    *,
    project: str,
    name: str | None,
    owner: str,
    description: Description,
    definition: Definition,
) -> TaskRecord | None:
    """Stores a task with its first version; None when the name is taken. Without a `name` its uid is the name."""
    uid = await SQL.create.value(connection, project=project, name=name, owner=owner, **asdict(description))
    if uid is None:
        return None
    await SQL.create_version.run(connection, task=uid, **asdict(definition))
    if definition.tracks_health:
        await task_health.put(connection, uid, reset=True)
    return await _written(connection, uid)


async def get(connection: Connection, *, project: str, name: str, owner: str | None) -> TaskRecord | None:
    """Returns a task by name; `owner` None matches every owner."""
    row = await SQL.get.row(connection, project=project, name=name, owner=owner)
    return TaskRecord(**row) if row else None


async def lock(connection: Connection, *, project: str, name: str, owner: str | None) -> TaskRecord | None:
    """Returns a task as `get` and locks its row until the transaction ends."""
    row = await SQL.lock.row(connection, project=project, name=name, owner=owner)
    return TaskRecord(**row) if row else None


async def list_page(
    connection: Connection, *, project: str, owner: str | None, selection: Selection, size: int
) -> list[TaskRecord]:
    """Returns at most `size` tasks that match `selection` (over FIELDS); `owner` None matches every owner."""
    rows = await SQL.list.page(connection, selection, project=project, owner=owner, size=size)
    return [TaskRecord(**row) for row in rows]


async def to_run(
    connection: Connection, *, project: str, name: str, owner: str | None, count_to: int
) -> TaskToRun | None:
    """Returns the data that RunTask needs, in one round trip; live runs are counted up to `count_to`."""
    row = await SQL.to_run.row(connection, project=project, name=name, owner=owner, count_to=count_to)
    return TaskToRun(**row) if row else None


async def find_uid(connection: Connection, *, project: str, name: str, owner: str | None) -> UUID | None:
    """Returns the uid of a task by name; `owner` None matches every owner."""
    uid: UUID | None = await SQL.find_uid.value(connection, project=project, name=name, owner=owner)
    return uid


async def known_names(connection: Connection, *, project: str, owner: str | None, names: Sequence[str]) -> set[str]:
    """Returns those of the names that belong to a task of `owner`; None matches every owner."""
    rows = await SQL.known_names.rows(connection, project=project, owner=owner, names=list(names))
    return {row["name"] for row in rows}


async def some_names(connection: Connection, *, project: str, owner: str | None, size: int) -> list[str]:
    """Returns the names of at most `size` tasks of `owner`; None matches every owner."""
    return [row["name"] for row in await SQL.some_names.rows(connection, project=project, owner=owner, size=size)]


async def update(
    connection: Connection,
    task: UUID,
    description: Description,
    definition: Definition | None,
    *,
    revive: bool,
) -> TaskRecord:
    """Changes a locked task; a definition creates a new version, `revive` sets a COMPLETED task to ACTIVE."""
    await SQL.update.run(
        connection, task=task, new_version=definition is not None, revive=revive, **asdict(description)
    )
    if definition is not None:
        await SQL.create_version.run(connection, task=task, **asdict(definition))
        await task_health.put(connection, task, reset=revive)
    return await _written(connection, task)


async def set_state(connection: Connection, task: UUID, state: str, reason: str) -> TaskRecord:
    """Sets the state of a locked task: ACTIVE or PAUSED."""
    await SQL.set_state.run(connection, task=task, state=state, reason=reason)
    await task_health.put(connection, task, reset=True)
    return await _written(connection, task)


async def delete(connection: Connection, task: UUID) -> None:
    """Marks a locked task as deleted, which frees its name; its runs and ledger are kept."""
    await SQL.delete.run(connection, task=task)


async def _written(connection: Connection, uid: UUID) -> TaskRecord:
    return TaskRecord(**await SQL.get_by_uid.row(connection, task=uid))
