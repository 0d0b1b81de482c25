"""Hints between processes that something may be worth a look: coalesced NOTIFY, one LISTEN per process.

A hint is never the truth and may be lost; who waits for one also looks by itself now and then. Sending takes a
database-wide lock at commit, so a process sends at most one notification at a time, whatever it was asked meanwhile.
"""

import asyncio
from collections import defaultdict
from typing import Any

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.telemetry import get_logger

log = get_logger()
CHANNEL = "ordinaut"
WORK = "work"
SCHEDULE = "schedule"
OUTBOX = "outbox"
EVENTS = "events"
RUN = "run"
CANCEL = "cancel"
WAIT = "wait"
BACKFILL = "backfill"
TURN = "turn"
RECONNECT_SECONDS = 1.0
SEND_SECONDS = 5.0  # a network that swallows everything is noticed after so long
SILENCE_SECONDS = 15.0  # after so long without anything to send, the connection is tried
PACE_SECONDS = 0.01  # between two notifications of one process; the first after a pause goes at once


class Hints:
    """Sends and hears hints; run `serve` as a task for as long as the process lives."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._to_send: set[str] = set()
        self._wake_sender = asyncio.Event()

    def subscribe(self, *topics: str) -> asyncio.Event:
        """An event that is set whenever one of the topics is hinted at; the subscriber clears it."""
        event = asyncio.Event()
        for topic in topics:
            self._subscribers[topic].add(event)
        return event

    def send(self, *topics: str) -> None:
        """Tells every process, this one at once, that a committed change concerns these topics."""
        for topic in topics:
            self._hear(topic)
        self._to_send.update(topics)
        self._wake_sender.set()

    async def serve(self) -> None:
        """Sends and listens until cancelled; reconnects, and then wakes everybody, because hints were lost."""
        while True:
            try:
                await self._serve_connected()
            except STORE_FAILURES as failure:
                log.warning("hints_interrupted", failure=str(failure) or type(failure).__name__)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _serve_connected(self) -> None:
        connection = await self._database.dedicated()
        try:
            await connection.add_listener(CHANNEL, self._notified)
            connection.add_termination_listener(lambda _connection: self._wake_sender.set())
            for topic in list(self._subscribers):
                self._hear(topic)
            while True:
                await wait_hint(self._wake_sender, SILENCE_SECONDS)
                await self._notify(connection)
                await asyncio.sleep(PACE_SECONDS)
        finally:
            connection.terminate()

    async def _notify(self, connection: Any) -> None:
        """Sends what is to be sent; what could not be sent stays for the next connection."""
        topics, self._to_send = self._to_send, set()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, " ".join(sorted(topics)))
        except BaseException:
            self._to_send |= topics
            self._wake_sender.set()
            raise

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        for topic in str(payload).split():
            self._hear(topic)

    def _hear(self, topic: str) -> None:
        for event in self._subscribers[topic]:
            event.set()


async def wait_hint(event: asyncio.Event, seconds: float) -> bool:
    """Waits for a hint, at most `seconds`; clears it. True: it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


__all__ = ["BACKFILL", "CANCEL", "EVENTS", "OUTBOX", "RUN", "SCHEDULE", "TURN", "WAIT", "WORK", "Hints", "wait_hint"]
