"""The worker's lease: its time-bounded right to its rows, and the moment at which it stops believing in it."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from ordinaut.store import lease as store
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.telemetry import get_logger

log = get_logger()
RETRY_SECONDS = 0.2


class Lease:
    """One lease at a time, renewed every third of its length on a connection of its own.

    `good` is judged by the monotonic clock, from the moment at which the last good renewal was *sent*: a process that
    was stopped or cut off stops believing in its lease no later than the database does. When it is over, `on_lost` is
    awaited and a fresh one taken.
    """

    def __init__(
        self,
        database: Database,
        seconds: float,
        on_lost: Callable[[UUID], Awaitable[None]],
        *,
        trust_for_ever: bool = False,
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._on_lost = on_lost
        self._trust_for_ever = trust_for_ever
        self._deadline = 0.0
        self._connection: Any = None
        self.address = ""
        self.id = uuid4()

    def good(self) -> bool:
        """Whether writing under the lease makes sense."""
        return self._trust_for_ever or time.monotonic() < self._deadline

    async def take(self) -> None:
        """Takes a lease under a fresh id."""
        self.id = uuid4()
        sent = time.monotonic()
        async with self._database.connection() as connection:
            host = f"{socket.gethostname()}:{os.getpid()}"
            await store.take(connection, lease=self.id, host=host, address=self.address, seconds=self._seconds)
        self._deadline = sent + self._seconds

    async def serve(self) -> None:
        """Renews until cancelled; takes a new lease when the old one is over."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            if not await self._renewed() and not self._trust_for_ever:
                log.warning("lease_lost", lease=str(self.id))
                self._deadline = 0.0
                await self._on_lost(self.id)
                await self._take_again()

    async def give_up(self) -> None:
        """Ends the lease when nothing hangs on it; otherwise it runs out by itself."""
        async with self._database.connection() as connection:
            await store.give_up(connection, self.id)
        await self._disconnect()

    async def drain(self) -> None:
        """Claims nothing more under this lease."""
        async with self._database.connection() as connection:
            await store.drain(connection, self.id)

    async def _renewed(self) -> bool:
        while self._trust_for_ever or time.monotonic() < self._deadline:
            sent = time.monotonic()
            try:
                if not await self._renew_once():
                    return False
            except STORE_FAILURES as failure:
                log.warning("renewal_failed", failure=str(failure) or type(failure).__name__)
                await self._disconnect()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._deadline = sent + self._seconds
                return True
        return False

    async def _renew_once(self) -> bool:
        left = max(self._deadline - time.monotonic(), RETRY_SECONDS)
        async with asyncio.timeout(left):
            if self._connection is None:
                self._connection = await self._database.dedicated()
            return await store.renew(self._connection, self.id, self._seconds)

    async def _take_again(self) -> None:
        while True:
            try:
                await self.take()
            except STORE_FAILURES as failure:
                log.warning("lease_not_taken", failure=str(failure))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
