"""The state of the installation, read from its tables."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """The state of the installation, as far as it concerns one project."""

    schema_version: int
    now: datetime
    fire_lag: timedelta
    outbox_backlog: int
    last_position: int
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker process with a live lease, and its leased runs of one project.

    `host` and `address` are empty if the installation has other projects.
    """

    id: UUID
    host: str
    address: str
    start_time: datetime
    expire_time: datetime
    draining: bool
    leased_runs: int


@dataclass(frozen=True, slots=True)
class LateTaskRecord:
    """A late task; `reason` is a name of LateTask.Reason. Times are None for NO_SUCCESS."""

    name: str | None
    uid: UUID
    reason: str
    due_time: datetime | None
    delay: timedelta | None


async def status(connection: Connection, project: str) -> StatusRecord:
    """Returns the state of the installation for a project, in one statement."""
    return StatusRecord(**await SQL.status.row(connection, project=project))


async def workers(connection: Connection, project: str) -> list[WorkerRecord]:
    """Returns the worker processes with a live lease, oldest first, as an agent of the project sees them."""
    return [WorkerRecord(**row) for row in await SQL.workers.rows(connection, project=project)]


async def late_tasks(connection: Connection, *, project: str, owner: str | None, size: int) -> list[LateTaskRecord]:
    """Returns the late tasks of a project, the latest first; `owner` None: of every owner."""
    rows = await SQL.late_tasks.rows(connection, project=project, owner=owner, size=size)
    return [LateTaskRecord(**row) for row in rows]


async def worker_count(connection: Connection) -> int:
    """Returns the number of worker processes with a live lease."""
    return int(await SQL.worker_count.value(connection))


async def ping(connection: Connection) -> None:
    """Returns when PostgreSQL answers."""
    await SQL.ping.value(connection)
