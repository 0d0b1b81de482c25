"""The event log: rows of the outbox, numbered once, never changed.

A row holds a JSON array of events `{uid, topic, source, subject, id, publisher, depth, data}`. Equal events of many
runs of a task are stored as one group, `{topic, subject, depth, data, part, runs}`: one event for each run.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
NUMBER_BATCH = 1000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append; `event_id` is chosen by its publisher, or empty."""

    uid: UUID
    topic: str
    source: str
    subject: str
    event_id: str
    data: dict[str, Any]
    publisher: str
    depth: int

    def document(self) -> dict[str, Any]:
        """The event in the form that is stored."""
        return {
            "uid": str(self.uid),
            "topic": self.topic,
            "source": self.source,
            "subject": self.subject,
            "id": self.event_id,
            "publisher": self.publisher,
            "depth": self.depth,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A numbered row of the log with the positions from `position` to `position + count - 1`; `events` is JSON text."""

    id: int
    project: str
    position: int
    count: int
    events: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class UnsentEntries:
    """Entries that the stream may not have, and the age of the first one in seconds (0 without entries)."""

    entries: list[LogEntry]
    age: float


@dataclass(frozen=True, slots=True)
class EntryMark:
    """What identifies a row of the log, without its events."""

    id: int
    position: int
    create_time: datetime


@dataclass(frozen=True, slots=True)
class EventTrigger:
    """An event trigger of an active task; `condition` may be empty, `params` is JSON text.

    It matches events after `effective_position`.
    """

    project: str
    task: UUID
    trigger: str
    topic: str
    condition: str
    params: str | None
    effective_position: int


def unfolded(documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events of a row, with each group expanded to one event for each run."""
    for document in documents:
        if "runs" not in document:
            yield document
            continue
        shared = {name: document[name] for name in ("topic", "subject", "depth", "data")}
        for run in document["runs"]:
            uid = f"{run}-{document['part']}"
            yield {"uid": uid, "source": f"runs/{run}", "id": "", "publisher": "", **shared}


async def publish(connection: Connection, project: str, new: NewEvent) -> tuple[UUID, datetime | None]:
    """Appends one event, at most once for each (source, event_id) if the id is not empty.

    Returns:
        The event's uid, and its time; the first publication's uid and None when it was published before.
    """
    [outcome] = await publish_all(connection, project, [new])
    return outcome


async def publish_all(
    connection: Connection, project: str, events: Sequence[NewEvent]
) -> list[tuple[UUID, datetime | None]]:
    """As `publish`, for at most a thousand events, which become one row of the log.

    Ids are claimed in sorted order, so that concurrent publishers wait for each other instead of deadlocking.
    """
    first: dict[UUID, UUID] = {}
    for new in sorted(events, key=lambda event: (event.source, event.event_id)):
        first[new.uid] = await _claim_id(connection, project, new)
    fresh = [new.document() for new in events if first[new.uid] == new.uid]
    time = await announce(connection, project, fresh) if fresh else None
    return [(first[new.uid], time if first[new.uid] == new.uid else None) for new in events]


async def _claim_id(connection: Connection, project: str, new: NewEvent) -> UUID:
    if not new.event_id:
        return new.uid
    uid: UUID = await SQL.claim_id.value(
        connection, project=project, source=new.source, event_id=new.event_id, uid=new.uid
    )
    return uid


def of_task(change: str, uid: UUID, name: str, *, publisher: str = "", **facts: Any) -> dict[str, Any]:
    """A new event of topic `ordinaut.task.{change}`, with `facts` in its data; an empty publisher means the system."""
    new = NewEvent(
        uid=uuid4(),
        topic=f"ordinaut.task.{change}",
        source=f"tasks/{name}",
        subject=f"tasks/{name}",
        event_id="",
        data={"task_uid": str(uid), **facts},
        publisher=publisher,
        depth=0,
    )
    return new.document()


async def announce(connection: Connection, project: str, events: Sequence[dict[str, Any]]) -> datetime:
    """Appends events `{uid, topic, source, subject, id, publisher, depth, data}` as one row; returns their time."""
    time: datetime = await SQL.append.value(connection, project=project, events=json.dumps(list(events)))
    return time


async def number(connection: Connection) -> int:
    """Numbers committed rows; to be called in a transaction. Returns their number."""
    last = await SQL.lock_counter.value(connection)
    return int(await SQL.number.value(connection, last=last, batch=NUMBER_BATCH))


async def unsent(connection: Connection, batch: int) -> UnsentEntries:
    """The first `batch` numbered entries that the stream may not have, by position."""
    rows = await SQL.unsent.rows(connection, batch=batch)
    return UnsentEntries([LogEntry(*list(row)[:-1]) for row in rows], rows[0]["age"] if rows else 0.0)


async def mark_sent(connection: Connection, ids: Sequence[int]) -> None:
    """Marks these rows as present in the stream."""
    await SQL.mark_sent.run(connection, ids=list(ids))


async def read(connection: Connection, *, project: str | None, after: int, batch: int) -> list[LogEntry]:
    """Entries with positions after `after`; the first one may begin earlier. `project` None: of every project."""
    return [LogEntry(*row) for row in await SQL.read.rows(connection, project=project, after=after, batch=batch)]


async def following(connection: Connection, *, after: int, batch: int) -> list[EntryMark]:
    """The marks of the rows after a position."""
    return [EntryMark(*row) for row in await SQL.following.rows(connection, after=after, batch=batch)]


async def last_position(connection: Connection) -> int:
    """The last numbered position; 0 for an empty log."""
    return int(await SQL.last_position.value(connection))


async def first_position(connection: Connection) -> int:
    """The first position still in the log; 0 for an empty log."""
    return int(await SQL.first_position.value(connection))


async def lock_matcher(connection: Connection) -> int | None:
    """Locks and returns the matcher's position; None when another process has it locked."""
    position: int | None = await SQL.lock_matcher.value(connection)
    return position


async def wait_for_matcher(connection: Connection) -> int:
    """The matcher's position, which does not change until this transaction ends."""
    return int(await SQL.wait_for_matcher.value(connection))


async def position_before(connection: Connection, project: str, time: datetime) -> int:
    """A position before every event that a project published since `time`."""
    return int(await SQL.position_before.value(connection, project=project, time=time))


async def move_matcher(connection: Connection, position: int) -> None:
    """Stores that events up to `position` are matched."""
    await SQL.move_matcher.run(connection, position=position)


async def triggers(connection: Connection, projects: Sequence[str]) -> list[EventTrigger]:
    """The event triggers of the active tasks of some projects."""
    return [EventTrigger(*row) for row in await SQL.triggers.rows(connection, projects=list(projects))]
