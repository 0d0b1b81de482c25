"""The state of the installation, read from its tables."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """The state of the installation."""

    schema_version: int
    now: datetime
    fire_lag: timedelta
    outbox_backlog: int
    last_position: int
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker process with a live lease."""

    id: UUID
    host: str
    address: str
    start_time: datetime
    expire_time: datetime
    draining: bool
    leased_runs: int


async def status(connection: Connection) -> StatusRecord:
    """Returns the state of the installation, in one statement."""
    return StatusRecord(**await SQL.status.row(connection))


async def workers(connection: Connection) -> list[WorkerRecord]:
    """Returns the worker processes with a live lease, oldest first."""
    return [WorkerRecord(**row) for row in await SQL.workers.rows(connection)]


async def ping(connection: Connection) -> None:
    """Returns when PostgreSQL answers."""
    await SQL.ping.value(connection)
