"""The installation as a whole, seen through its tables."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """How the installation is."""

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
    """How the installation is, in one statement."""
    return StatusRecord(**await SQL.status.row(connection))


async def workers(connection: Connection) -> list[WorkerRecord]:
    """The worker processes with a live lease, the oldest first."""
    return [WorkerRecord(**row) for row in await SQL.workers.rows(connection)]


async def ping(connection: Connection) -> None:
    """Returns when PostgreSQL answers."""
    await SQL.ping.value(connection)
