"""The event log: rows of the outbox, numbered once, never changed.

A row holds a JSON array of events `{uid, topic, source, subject, id, publisher, depth, data}`. What happens to many
runs of a task at once stands in it as one group, `{topic, subject, depth, data, part, runs}`: one event for each run.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
NUMBER_BATCH = 1000


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before the log has it; `event_id` is its publisher's own, or empty."""

    uid: UUID
    topic: str
    source: str
    subject: str
    event_id: str
    data: dict[str, Any]
    publisher: str
    depth: int

    def document(self) -> dict[str, Any]:
        """The event as the log keeps it."""
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


def unfolded(documents: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events of a row, with those of its groups one by one."""
    for document in documents:
        if "runs" not in document:
            yield document
            continue
        shared = {name: document[name] for name in ("topic", "subject", "depth", "data")}
        for run in document["runs"]:
            uid = f"{run}-{document['part']}"
            yield {"uid": uid, "source": f"runs/{run}", "id": "", "publisher": "", **shared}


async def publish(connection: Connection, project: str, new: NewEvent) -> tuple[UUID, datetime | None]:
    """Appends one event, once per (source, event_id) where an id is given.

    Returns:
        The event's uid, and its time; the first publication's uid and None when it was published before.
    """
    [outcome] = await publish_all(connection, project, [new])
    return outcome


async def publish_all(
    connection: Connection, project: str, events: Sequence[NewEvent]
) -> list[tuple[UUID, datetime | None]]:
    """As `publish`, for at most a thousand events, which become one row of the log.

    Ids are claimed in their own order, so that publishers that meet wait for each other instead of deadlocking.
    """
    first: dict[UUID, UUID] = {}
    for new in sorted(events, key=lambda event: (event.source, event.event_id)):
        first[new.uid] = await _claim_id(connection, project, new)
    fresh = [new.document() for new in events if first[new.uid] == new.uid]
    moment = await announce(connection, project, fresh) if fresh else None
    return [(first[new.uid], moment if first[new.uid] == new.uid else None) for new in events]


async def _claim_id(connection: Connection, project: str, new: NewEvent) -> UUID:
    if not new.event_id:
        return new.uid
    uid: UUID = await SQL.claim_id.value(
        connection, project=project, source=new.source, event_id=new.event_id, uid=new.uid
    )
    return uid


def of_task(what: str, uid: UUID, name: str, *, publisher: str = "", **facts: Any) -> dict[str, Any]:
    """A new event of topic `ordinaut.task.{what}`, with `facts` in its data; without publisher it is the system's."""
    new = NewEvent(
        uid=uuid4(),
        topic=f"ordinaut.task.{what}",
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
    moment: datetime = await SQL.append.value(connection, project=project, events=json.dumps(list(events)))
    return moment


async def number(connection: Connection) -> int:
    """Numbers committed rows, inside a transaction; returns how many."""
    last = await SQL.lock_counter.value(connection)
    return int(await SQL.number.value(connection, last=last, batch=NUMBER_BATCH))


async def unsent(connection: Connection, batch: int) -> list[Record]:
    """Numbered rows that the stream may not have, from the lowest position; `age` is in seconds."""
    return await SQL.unsent.rows(connection, batch=batch)


async def mark_sent(connection: Connection, ids: Sequence[int]) -> None:
    """The stream has these rows."""
    await SQL.mark_sent.run(connection, ids=list(ids))


async def read(connection: Connection, *, project: str | None, after: int, batch: int) -> list[Record]:
    """Rows (id, project, position, count, events as JSON text, create_time) that hold positions beyond `after`.

    The first row may begin at or before `after`; None reads every project.
    """
    return await SQL.read.rows(connection, project=project, after=after, batch=batch)


async def following(connection: Connection, *, after: int, batch: int) -> list[Record]:
    """What the rows behind a position are known by: (id, position, create_time)."""
    return await SQL.following.rows(connection, after=after, batch=batch)


async def last_position(connection: Connection) -> int:
    """The last numbered position; 0 for an empty log."""
    return int(await SQL.last_position.value(connection))


async def first_position(connection: Connection) -> int:
    """The first position that the log still holds; 0 for an empty log."""
    return int(await SQL.first_position.value(connection))


async def lock_matcher(connection: Connection) -> int | None:
    """How far events are matched; None when another process is matching right now."""
    value: int | None = await SQL.lock_matcher.value(connection)
    return value


async def wait_for_matcher(connection: Connection) -> int:
    """How far events are matched, and no further while this transaction lasts."""
    return int(await SQL.wait_for_matcher.value(connection))


async def position_before(connection: Connection, project: str, moment: datetime) -> int:
    """A position of a project's log after which every event since `moment` stands."""
    return int(await SQL.position_before.value(connection, project=project, moment=moment))


async def move_matcher(connection: Connection, position: int) -> None:
    """Events up to `position` are matched."""
    await SQL.move_matcher.run(connection, position=position)


async def triggers(connection: Connection, projects: Sequence[str]) -> list[Record]:
    """The event triggers of the active tasks of some projects."""
    return await SQL.triggers.rows(connection, projects=list(projects))
