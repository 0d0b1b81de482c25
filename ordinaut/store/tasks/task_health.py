"""Health of the tasks with a run policy that monitors it: consecutive failures, and when the next success is due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class TaskHealth:
    """A monitored task; `failures` are the consecutive ones, `pause_after_failures` the limit of its run policy."""

    task: UUID
    failures: int
    pause_after_failures: int | None
    state: str


@dataclass(frozen=True, slots=True)
class OverdueTask:
    """A task without a success for `seconds`; `expected`: it is active and its policy still asks for one."""

    task: UUID
    project: str
    name: str
    expected: bool
    seconds: float


@dataclass(slots=True)
class HealthColumns:
    """New health of tasks, as the columns that `record` takes; each task at most once."""

    tasks: list[UUID] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    success_times: list[datetime | None] = field(default_factory=list)


async def put(connection: Connection, task: UUID, *, reset: bool) -> None:
    """Starts, continues or stops monitoring a locked task, by its current version; `reset`: counts from zero."""
    await SQL.put.run(connection, task=task, reset=reset)


async def lock(connection: Connection, tasks: Sequence[UUID]) -> list[TaskHealth]:
    """Locks and returns those of the tasks that are monitored."""
    return [TaskHealth(*row) for row in await SQL.lock.rows(connection, tasks=list(tasks))]


async def record(connection: Connection, health: HealthColumns) -> None:
    """Stores the health of locked tasks."""
    await SQL.record.run(connection, tasks=health.tasks, failures=health.failures, success_times=health.success_times)


async def take_overdue(connection: Connection, batch: int) -> list[OverdueTask]:
    """Returns up to `batch` tasks that lack a success, each lapse once."""
    return [OverdueTask(*row) for row in await SQL.take_overdue.rows(connection, batch=batch)]
