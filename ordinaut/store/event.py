"""The event log: rows of the outbox, numbered once, never changed.

A row holds a JSON array of events `{uid, topic, source, subject, id, publisher, depth, data}`. Equal events of many
runs of a task are stored as one group, `{topic, subject, depth, data, part, runs}`: one event for each run.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from ordinaut.errors import AlreadyExistsError
from ordinaut.store.sql import Connection, Queries
from ordinaut.v1.error_pb2 import ErrorReason

SQL = Queries(__file__)
NUMBER_BATCH = 1000
Key = tuple[str, str, str]


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

    @property
    def key(self) -> Key:
        """What identifies an event with an `event_id` within its project: publisher, source and id."""
        return self.publisher, self.source, self.event_id

    def hash(self) -> bytes:
        """SHA-256 of what a repetition has in common with the first publication, besides the key."""
        content = json.dumps([self.topic, self.subject, self.data], sort_keys=True)
        return hashlib.sha256(content.encode()).digest()

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
class PublishedEvent:
    """The uid and the time of an event in the log."""

    uid: UUID
    time: datetime


@dataclass(frozen=True, slots=True)
class ClaimedId:
    """A publisher's id with the first event that was published under it."""

    publisher: str
    source: str
    event_id: str
    uid: UUID
    hash: bytes
    create_time: datetime

    @property
    def key(self) -> Key:
        """As `NewEvent.key`."""
        return self.publisher, self.source, self.event_id


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
class EventTrigger:
    """An event trigger of an active task; `condition` may be empty, `params` is JSON text.

    It matches events after `effective_position` and, if it was edited, up to `until_position`. The last `exhaustions`
    evaluations in a row have used up their fuel.
    """

    id: int
    project: str
    task: UUID
    trigger: str
    topic: str
    condition: str
    params: str | None
    effective_position: int
    until_position: int | None = None
    exhaustions: int = 0

    def sees(self, position: int) -> bool:
        """Whether it was the trigger at the time of that event."""
        return self.effective_position < position <= (self.until_position or position)


@dataclass(frozen=True, slots=True)
class OwnedTrigger:
    """An event trigger of an agent's task; `scopes` are those that the task's version was saved with."""

    task: UUID
    trigger: str
    topic: str
    denied: bool
    scopes: list[str]


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


async def publish(connection: Connection, project: str, new: NewEvent) -> PublishedEvent:
    """Appends one event, at most once for each (publisher, source, event_id) if the id is not empty.

    Returns:
        The event that this publisher has published under the id first; another one than `new` if it is a repetition.

    Raises:
        AlreadyExistsError: EVENT_ID_REUSED: the first event has another topic, subject or data.
    """
    [published] = await publish_all(connection, project, [new])
    return published


async def publish_all(connection: Connection, project: str, events: Sequence[NewEvent]) -> list[PublishedEvent]:
    """As `publish`, for at most a thousand events, which become one row of the log; all or none."""
    claims = await _claim_ids(connection, project, [new for new in events if new.event_id])
    uids = [claims[new.key].uid if new.key in claims else new.uid for new in events]
    times = {claim.uid: claim.create_time for claim in claims.values()}
    fresh = [new for new, uid in zip(events, uids, strict=True) if new.uid == uid]
    if fresh:
        claimed = next((times[new.uid] for new in fresh if new.uid in times), None)
        time = await announce(connection, project, [new.document() for new in fresh], claimed)
        times |= {new.uid: time for new in fresh}
    return [PublishedEvent(uid, times[uid]) for uid in uids]


async def _claim_ids(connection: Connection, project: str, events: Sequence[NewEvent]) -> dict[Key, ClaimedId]:
    if not events:
        return {}
    wanted = {new.key: new for new in reversed(events)}  # the first of equal ones
    rows = await SQL.claim_ids.rows(
        connection,
        project=project,
        publishers=[new.publisher for new in wanted.values()],
        sources=[new.source for new in wanted.values()],
        ids=[new.event_id for new in wanted.values()],
        uids=[new.uid for new in wanted.values()],
        hashes=[new.hash() for new in wanted.values()],
    )
    claims = {claim.key: claim for claim in (ClaimedId(*row) for row in rows)}
    for new in events:
        if claims[new.key].hash != new.hash():
            raise AlreadyExistsError(
                ErrorReason.EVENT_ID_REUSED,
                f"{new.publisher} has published another event with id {new.event_id!r} and source {new.source!r}; "
                "use a new id for an event with another topic, subject or data",
                {"resource": f"events/{claims[new.key].uid}", "source": new.source, "id": new.event_id},
            )
    return claims


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


async def announce(
    connection: Connection, project: str, events: Sequence[dict[str, Any]], time: datetime | None = None
) -> datetime:
    """Appends events `{uid, topic, source, subject, id, publisher, depth, data}` as one row; returns their time.

    `time`: of the database's clock in this transaction; None: now.
    """
    appended: datetime = await SQL.append.value(connection, project=project, events=json.dumps(list(events)), time=time)
    return appended


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


async def transactions(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """The ids (xid) of the transactions that published rows of the log, by the rows' ids."""
    return {row["id"]: row["xid"] for row in await SQL.transactions.rows(connection, ids=list(ids))}


async def has_unmatched(connection: Connection) -> bool:
    """Whether events were numbered that the matcher has not matched."""
    return bool(await SQL.has_unmatched.value(connection))


async def last_position(connection: Connection) -> int:
    """The last numbered position; 0 for an empty log."""
    return int(await SQL.last_position.value(connection))


async def positions(connection: Connection, project: str) -> tuple[int, int]:
    """Returns the first and the last position of a project's events in the log; 0 and 0 if it has none."""
    row = await SQL.positions.row(connection, project=project)
    return int(row["first"]), int(row["last"])


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


async def triggers(connection: Connection, projects: Sequence[str], after: int) -> list[EventTrigger]:
    """The enabled event triggers of the active tasks of some projects, for events after a position."""
    return [EventTrigger(*row) for row in await SQL.triggers.rows(connection, projects=list(projects), after=after)]


async def owned_triggers(connection: Connection, *, project: str, owner: str) -> list[OwnedTrigger]:
    """Returns the event triggers of the tasks of `owner` (`agents/…`)."""
    return [OwnedTrigger(**row) for row in await SQL.owned_triggers.rows(connection, project=project, owner=owner)]


async def set_denied(connection: Connection, changes: Sequence[tuple[UUID, str, bool]]) -> None:
    """Sets for each task and trigger whether the trigger may not read its topic."""
    if changes:
        tasks, triggers, denied = (list(column) for column in zip(*changes, strict=True))
        await SQL.set_denied.run(connection, tasks=tasks, triggers=triggers, denied=denied)
