"""Matcher: events become runs. Its position moves in the transaction that queues what it found."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.names import topic_matcher
from ordinaut.store import due_work, event
from ordinaut.store.database import Database
from ordinaut.store.hints import EVENTS, OUTBOX, WORK, Hints, wait_hint
from ordinaut.store.sql import Connection, Record
from ordinaut.streams.event_stream import STREAM_FAILURES, Entry, EventStream
from ordinaut.telemetry import get_logger
from scheduler.lifecycle import complete
from scheduler.metrics import CHAINS_STOPPED, CONDITION_FAILED, ENQUEUED, MATCHED

log = get_logger()
BATCH = 200
WAIT_SECONDS = 0.5
MAX_DEPTH = 8
ENDED_TOPICS = frozenset({"ordinaut.run.succeeded", "ordinaut.run.failed", "ordinaut.run.cancelled"})


@dataclass(frozen=True, slots=True)
class Numbered:
    """One event with its place in the log."""

    project: str
    position: int
    time: datetime
    body: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """What `event` is in a condition and in the pipeline."""
        body = self.body
        return {
            "name": f"events/{body['uid']}",
            "position": self.position,
            "topic": body["topic"],
            "source": body["source"],
            "subject": body["subject"],
            "id": body["id"],
            "data": body["data"],
            "publish_time": self.time,
            "publisher": body["publisher"],
            "depth": body["depth"],
        }


class Matcher:
    """Reads the stream, or the log itself where the stream has a gap or is away."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._wake = hints.subscribe(EVENTS)
        self._position: int | None = None
        self._elsewhere = False

    async def turn(self) -> bool:
        """Waits for events and matches one batch; always True: the waiting is done here."""
        entries = await self._wait()
        async with self._database.transaction() as connection:
            locked = await event.lock_matcher(connection)
            if locked is None:
                self._position = None
                self._elsewhere = True
                return True
            entries = await self._contiguous(connection, entries, locked)
            self._position = locked
            if entries:
                await self._match(connection, entries)
                self._position = entries[-1].position + entries[-1].count - 1
                await event.move_matcher(connection, self._position)
        return True

    async def _wait(self) -> list[Entry]:
        if self._position is None:
            if self._elsewhere:  # another scheduler is matching
                await wait_hint(self._wake, WAIT_SECONDS)
            return []
        try:
            return await self._stream.read(self._position, limit=BATCH, block_seconds=WAIT_SECONDS)
        except STREAM_FAILURES:  # the relay says so in the log
            await wait_hint(self._wake, WAIT_SECONDS)
            return []

    async def _contiguous(self, connection: Connection, entries: list[Entry], position: int) -> list[Entry]:
        """The rows that follow `position` without a gap: the stream's where it has them, else the log's."""
        following: list[Entry] = []
        for entry in entries:
            if entry.position == (following[-1].position + following[-1].count if following else position + 1):
                following.append(entry)
        if following:
            return following
        return [_entry(row) for row in await event.read(connection, project=None, after=position, batch=BATCH)]

    async def _match(self, connection: Connection, entries: Sequence[Entry]) -> None:
        triggers: dict[str, list[Record]] = defaultdict(list)
        for row in await event.triggers(connection, list({entry.project for entry in entries})):
            triggers[row["project"]].append(row)
        found: list[tuple[UUID, str, str, str, str | None, int]] = []
        ended: set[UUID] = set()
        for entry in entries:
            for numbered in _events(entry):
                _match_one(numbered, triggers[entry.project], found)
                if numbered.body["topic"] in ENDED_TOPICS:
                    ended.add(UUID(numbered.body["data"]["task_uid"]))
            MATCHED.inc(entry.count)
        if found:
            enqueued = await due_work.enqueue_for_events(connection, found)
            ENQUEUED.labels("event").inc(enqueued)
            self._hints.send(WORK, OUTBOX)
        await complete(connection, list(ended))


def _events(entry: Entry) -> list[Numbered]:
    time = datetime.fromtimestamp(entry.time_us / 1_000_000, UTC)
    return [
        Numbered(entry.project, position, time, body)
        for position, body in enumerate(orjson.loads(entry.events), entry.position)
    ]


def _match_one(
    numbered: Numbered, triggers: Sequence[Record], found: list[tuple[UUID, str, str, str, str | None, int]]
) -> None:
    for trigger in triggers:
        if numbered.position <= trigger["effective_position"] or not topic_matcher(trigger["topic"])(
            numbered.body["topic"]
        ):
            continue
        document = orjson.dumps(numbered.document(), option=orjson.OPT_UTC_Z)
        if not _holds(trigger, document):
            continue
        depth = numbered.body["depth"] + 1
        if depth > MAX_DEPTH:
            CHAINS_STOPPED.inc()
            log.warning("event_chain_stopped", task=str(trigger["task"]), topic=numbered.body["topic"], depth=depth)
            continue
        found.append(
            (trigger["task"], trigger["trigger"], numbered.body["uid"], document.decode(), trigger["params"], depth)
        )


def _holds(trigger: Record, document: bytes) -> bool:
    """A condition that cannot be told is recorded and counts as false: repeating would change nothing."""
    if not trigger["condition"]:
        return True
    try:
        return compile_expression(trigger["condition"]).holds(orjson.loads(document))
    except ExpressionError as failure:
        CONDITION_FAILED.inc()
        log.warning("trigger_condition_failed", task=str(trigger["task"]), failure=str(failure))
        return False


def _entry(row: Record) -> Entry:
    return Entry(
        uid="",
        project=row["project"],
        position=row["position"],
        count=row["count"],
        time_us=round(row["create_time"].timestamp() * 1_000_000),
        events=row["events"].encode(),
    )
