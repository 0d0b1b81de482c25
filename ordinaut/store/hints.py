"""Hints between processes that rows of some topic have changed: coalesced NOTIFY, one LISTEN per process.

A hint may be lost, for example while a connection is replaced. So every subscriber also polls, and nothing depends on a
hint but the time until a change is noticed. Hints are therefore sent after the commit, not within the transaction.
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
BUFFERED = "buffered"
JUDGE = "judge"
RECONNECT_SECONDS = 1.0
SEND_SECONDS = 5.0  # timeout of a notification: a network that drops packets is noticed after that time
SILENCE_SECONDS = 15.0  # after that time without hints, an empty notification tests the connection
PACE_SECONDS = 0.01  # between two notifications of one process; the first one after a pause is sent at once


class Hints:
    """Sends and receives hints; `serve` runs as a task during the life of the process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._to_send: set[str] = set()
        self._wake_sender = asyncio.Event()

    def subscribe(self, *topics: str) -> asyncio.Event:
        """An event that is set by each hint on one of the topics; the subscriber clears it."""
        event = asyncio.Event()
        for topic in topics:
            self._subscribers[topic].add(event)
        return event

    def send(self, *topics: str) -> None:
        """Reports a committed change of these topics to every process, and at once to this one."""
        for topic in topics:
            self._wake_subscribers(topic)
        self._to_send.update(topics)
        self._wake_sender.set()

    async def serve(self) -> None:
        """Sends and listens until cancelled; after a reconnect every subscriber is woken, because hints may be lost."""
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
                self._wake_subscribers(topic)
            while True:
                # Pacing. A commit that notifies takes a lock of the whole database until it is flushed, so frequent
                # notifications would serialize the commits of all processes. One per process and pause, with all
                # topics since the last one, bounds that; a listener that is woken 10 ms later claims a larger batch.
                await wait_hint(self._wake_sender, SILENCE_SECONDS)
                await self._notify(connection)
                await asyncio.sleep(PACE_SECONDS)
        finally:
            connection.terminate()

    async def _notify(self, connection: Any) -> None:
        """Sends the collected topics; after a failure they are kept for the next connection."""
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
            self._wake_subscribers(topic)

    def _wake_subscribers(self, topic: str) -> None:
        for event in self._subscribers[topic]:
            event.set()


async def wait_hint(event: asyncio.Event, seconds: float) -> bool:
    """Waits at most `seconds` for a hint and clears it; whether there was one."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


__all__ = [
    "BACKFILL",
    "BUFFERED",
    "CANCEL",
    "EVENTS",
    "JUDGE",
    "OUTBOX",
    "RUN",
    "SCHEDULE",
    "WAIT",
    "WORK",
    "Hints",
    "wait_hint",
]
