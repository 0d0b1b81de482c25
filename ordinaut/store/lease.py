"""Leases of worker processes: the time-bounded right to the rows they claimed."""

from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def take(connection: Connection, *, lease: UUID, host: str, address: str, seconds: float) -> None:
    """Takes a lease under a fresh id."""
    await SQL.take.run(connection, lease=lease, host=host, address=address, seconds=seconds)


async def renew(connection: Connection, lease: UUID, seconds: float) -> bool:
    """Prolongs a lease; False when it was over already."""
    return bool(await SQL.renew.row(connection, lease=lease, seconds=seconds))


async def drain(connection: Connection, lease: UUID) -> None:
    """Marks the lease so that it claims nothing more."""
    await SQL.drain.run(connection, lease=lease)


async def give_up(connection: Connection, lease: UUID) -> None:
    """Deletes the lease unless a row still names it."""
    await SQL.give_up.run(connection, lease=lease)


async def forget_expired(connection: Connection) -> int:
    """Deletes leases that ended a minute ago and hold nothing."""
    return await SQL.forget_expired.run(connection)
