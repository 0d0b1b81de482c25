"""Conditions of triggers and waits that are to be evaluated on events of the log.

The matcher adds an entry in the transaction in which it moves its position, and an evaluator moves or removes the entry
in the transaction that queues the runs. So no condition is left out, and one that is evaluated twice queues no second
run: there is one for each task and event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from uuid import UUID

from ordinaut.store import event
from ordinaut.store.event import EventTrigger
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
LOCKED = 50
CONDITIONS = ("triggers", "runs", "paths")


@dataclass(frozen=True, slots=True)
class NewTodo:
    """Triggers (by id) and waits (run, path) with conditions to evaluate on the events in (after, until]."""

    project: str
    after: int
    until: int
    triggers: Sequence[int]
    waits: Sequence[tuple[UUID, str]]
    event_time: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """The events in (after, until]: one stored entry."""

    id: int
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Todo:
    """Locked entries with the same conditions, by position.

    The first `next` of the triggers and waits are evaluated on the first event of the first part.
    """

    project: str
    parts: list[Part]
    next: int
    triggers: list[int]
    runs: list[UUID]
    paths: list[str]

    @property
    def after(self) -> int:
        """The position before the first event."""
        return self.parts[0].after

    @property
    def until(self) -> int:
        """The position of the last event."""
        return max(part.until for part in self.parts)

    @property
    def ids(self) -> list[int]:
        """The ids of the entries."""
        return [part.id for part in self.parts]


@dataclass(frozen=True, slots=True)
class DisabledTrigger:
    """A trigger that was just disabled, with the name of its task."""

    project: str
    task: UUID
    name: str
    trigger: str


async def add(connection: Connection, todos: Sequence[NewTodo]) -> None:
    """Adds entries."""
    for todo in todos:
        await SQL.add.run(
            connection,
            project=todo.project,
            after=todo.after,
            until=todo.until,
            triggers=list(todo.triggers),
            runs=[run for run, _ in todo.waits],
            paths=[path for _, path in todo.waits],
            event_time=todo.event_time,
        )


async def projects(connection: Connection) -> list[str]:
    """The projects with entries."""
    return [row["project"] for row in await SQL.projects.rows(connection)]


async def lock(connection: Connection, project: str) -> Todo | None:
    """Locks the oldest entries of a project that are not locked, and returns the first ones with equal conditions."""
    rows = await SQL.lock.rows(connection, project=project, batch=LOCKED)
    if not rows:
        return None
    conditions = [rows[0][name] for name in CONDITIONS]
    alike = list(takewhile(lambda row: [row[name] for name in CONDITIONS] == conditions, rows))
    alike = alike[:1] + list(takewhile(lambda row: row["next"] == 0, alike[1:]))
    parts = [Part(row["id"], row["after"], row["until"]) for row in alike]
    return Todo(project, parts, rows[0]["next"], *conditions)


async def move(connection: Connection, todo: Todo, *, after: int, next_condition: int) -> None:
    """Stores up to where locked entries are done; removes those that end there."""
    await SQL.remove.run(connection, ids=[part.id for part in todo.parts if part.until <= after])
    for part in todo.parts:
        if part.after <= after < part.until:
            await SQL.move.run(connection, id=part.id, after=after, next=next_condition)


async def triggers(connection: Connection, ids: Sequence[int]) -> list[EventTrigger]:
    """Those of the triggers that are enabled, of active tasks."""
    return [EventTrigger(*row) for row in await SQL.triggers.rows(connection, ids=list(ids))]


async def hold_paused(connection: Connection, todo: Todo, ids: Sequence[int], after: int) -> None:
    """Keeps the events after a position for those of the triggers whose tasks are paused, until they are resumed."""
    if ids and (paused := [row["id"] for row in await SQL.paused.rows(connection, ids=list(ids))]):
        await SQL.hold.run(connection, ids=todo.ids, after=after, triggers=paused)


async def note_exhaustions(connection: Connection, exhaustions: Mapping[int, int]) -> None:
    """Stores for each trigger how many of its last evaluations in a row have used up their fuel."""
    if exhaustions:
        await SQL.note_exhaustions.run(connection, ids=list(exhaustions), exhaustions=list(exhaustions.values()))


async def disable(
    connection: Connection, todo: Todo, trigger: int, position: int, reason: str
) -> DisabledTrigger | None:
    """Disables a trigger that has judged this entry up to a position; None if it is no longer current or enabled."""
    row = await SQL.disable.row(connection, id=trigger, todos=todo.ids, position=position, reason=reason)
    return None if row is None else DisabledTrigger(**row)


async def enable_rearmed(connection: Connection) -> bool:
    """Enables triggers that are to be enabled again, with an entry for their pending events; whether there were any."""
    if not await SQL.any_rearmed.value(connection):
        return False
    return await SQL.rearmed.run(connection, position=await event.wait_for_matcher(connection)) > 0


async def drop_ended(connection: Connection) -> None:
    """Deletes ended rows of triggers that judge no event any more."""
    await SQL.drop_ended.run(connection)
