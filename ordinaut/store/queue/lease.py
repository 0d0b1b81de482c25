"""Leases of worker processes: the time-bounded right to the rows that they have claimed."""

from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def take(connection: Connection, *, lease: UUID, host: str, address: str, seconds: float) -> None:
    """Stores a new lease."""
    await SQL.take.run(connection, lease=lease, host=host, address=address, seconds=seconds)


async def renew(connection: Connection, lease: UUID, seconds: float) -> bool:
    """Extends a lease; False if it has expired."""
    return bool(await SQL.renew.row(connection, lease=lease, seconds=seconds))


async def drain(connection: Connection, lease: UUID) -> None:
    """Lets no further claim happen under the lease."""
    await SQL.drain.run(connection, lease=lease)


async def delete_unused(connection: Connection, lease: UUID) -> None:
    """Deletes the lease unless a row is under it."""
    await SQL.delete_unused.run(connection, lease=lease)


async def delete_expired(connection: Connection) -> int:
    """Deletes leases without rows that expired more than a minute ago; returns the number."""
    return await SQL.delete_expired.run(connection)
