"""Unsettled ranges: time ranges of a task before a change, a pause or a deletion that are not in the ledger yet."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.store.sql import Connection, Queries
from ordinaut.store.tasks import cursor
from ordinaut.store.tasks.cursor import Fired, PlanColumns

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class UnsettledRange:
    """The instants of a task in (after_time, until_time], by the version and generation of that time.

    `paused`: the task was paused then. `obstacle` is the reason why they may not run (`deleted`, or the task's state in
    lower case), None when the task is active. `skipped` are the instants that have a ledger row already. `schedule` is
    JSON text, `now` the database's time.
    """

    id: int
    task: UUID
    project: str
    task_version: int
    generation: int
    after_time: datetime
    until_time: datetime
    paused: bool
    schedule: str
    now: datetime
    obstacle: str | None
    skipped: list[datetime]


async def oldest(connection: Connection) -> UnsettledRange | None:
    """Locks the oldest range that no other scheduler has locked, and the cursor of its task.

    The cursor's lock orders this with a pause or a deletion of the task: each waits for the other.
    """
    locked = await SQL.oldest.row(connection)
    if locked is None:
        return None
    await cursor.lock(connection, locked["task"])
    return UnsettledRange(*await SQL.read.row(connection, id=locked["id"]))


async def move(connection: Connection, range_id: int, after: datetime) -> None:
    """Marks a locked range as settled up to `after`."""
    await SQL.move.run(connection, id=range_id, after_time=after)


async def settle(connection: Connection, range_id: int) -> None:
    """Removes a locked range: all of it is settled."""
    await SQL.settle.run(connection, id=range_id)


async def fire(connection: Connection, *, task: UUID, version: int, planned: PlanColumns, always_buffer: bool) -> Fired:
    """Queues the run of the only instant in `planned`, with that version of the task; moves no cursor."""
    row = await SQL.fire.row(
        connection,
        task=task,
        task_version=version,
        instant=planned.instants[0],
        fire_time=planned.fire_times[0],
        key=planned.keys[0],
        trigger=planned.triggers[0],
        params=planned.params[0],
        interval_end=planned.interval_ends[0],
        always_buffer=always_buffer,
    )
    return Fired(moved=0, **row)


async def contains(connection: Connection, task: UUID, instant: datetime) -> bool:
    """Whether an instant of a task lies in a range that is not settled yet."""
    return bool(await SQL.contains.value(connection, task=task, instant=instant))
