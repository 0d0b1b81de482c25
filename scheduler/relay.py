"""Relay: numbers committed rows of the event log and sends every numbered, unsent one to the stream."""

from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.hints import EVENTS, Hints
from ordinaut.store.sql import Record
from ordinaut.streams.event_stream import STREAM_FAILURES, Entry, EventStream
from ordinaut.telemetry import get_logger
from scheduler.metrics import NUMBERED, OUTBOX_AGE, SENT

log = get_logger()
SEND_BATCH = 500


class Relay:
    """Any process may relay: a stalled one is overtaken, never skipped."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._stream_away = False

    async def turn(self) -> bool:
        """Numbers one batch and sends one; True when either was full."""
        numbered = await self._database.repeat(event.number)
        if numbered:
            NUMBERED.inc(numbered)
            self._hints.send(EVENTS)
        sent = await self._send()
        return numbered >= event.NUMBER_BATCH or sent >= SEND_BATCH

    async def _send(self) -> int:
        async with self._database.connection() as connection:
            rows = await event.unsent(connection, SEND_BATCH)
            last = await event.last_position(connection) if rows else 0
        OUTBOX_AGE.set((rows[-1]["create_time"] - rows[0]["create_time"]).total_seconds() if rows else 0)
        if not rows:
            return 0
        try:
            kept = await self._stream.append([_entry(row) for row in rows], last)
        except STREAM_FAILURES as failure:
            self._note_away(failure)
            return 0
        self._stream_away = False
        if not kept:
            return SEND_BATCH
        async with self._database.transaction() as connection:
            await event.mark_sent(connection, [row["id"] for row in rows])
        SENT.inc(len(rows))
        return len(rows)

    def _note_away(self, failure: BaseException) -> None:
        if not self._stream_away:
            log.warning("redis_not_reached", failure=str(failure))
        self._stream_away = True


def _entry(row: Record) -> Entry:
    return Entry(
        uid=str(row["id"]),
        project=row["project"],
        position=row["position"],
        count=row["count"],
        time_us=round(row["create_time"].timestamp() * 1_000_000),
        events=row["events"].encode(),
    )
