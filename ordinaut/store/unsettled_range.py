"""Arrears: stretches of time that a task's cursor left behind before everything in them was accounted for."""

from datetime import datetime
from uuid import UUID

from ordinaut.store import cursor
from ordinaut.store.cursor import PlanColumns
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)


async def oldest(connection: Connection) -> Record | None:
    """Locks the stretch that waits longest and that nobody works on, and the cursor of its task.

    Whoever pauses or deletes the task has done so before, or has to wait.
    """
    found = await SQL.oldest.row(connection)
    if found is None:
        return None
    await cursor.hold(connection, found["task"])
    row: Record = await SQL.read.row(connection, id=found["id"])
    return row


async def move(connection: Connection, stretch: int, after: datetime) -> None:
    """A locked stretch is accounted for up to `after`."""
    await SQL.move.run(connection, id=stretch, after_time=after)


async def settle(connection: Connection, stretch: int) -> None:
    """A locked stretch is accounted for."""
    await SQL.settle.run(connection, id=stretch)


async def fire(
    connection: Connection, *, task: UUID, version: int, planned: PlanColumns, in_turn: bool
) -> tuple[int, int]:
    """Queues the run of the one instant in `planned`; how many were queued, and how many wait for their turn."""
    row = await SQL.fire.row(
        connection,
        task=task,
        task_version=version,
        instant=planned.instants[0],
        fire_time=planned.fire_times[0],
        key=planned.keys[0],
        trigger=planned.triggers[0],
        params=planned.params[0],
        interval_end=planned.ends[0],
        in_turn=in_turn,
    )
    return row["queued"], row["buffered"]


async def holds(connection: Connection, task: UUID, moment: datetime) -> bool:
    """Whether a moment of a task was left behind, and nobody has accounted for it yet."""
    found: bool = await SQL.holds.value(connection, task=task, moment=moment)
    return found
