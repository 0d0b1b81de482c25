"""The worker's lease: its time-bounded right to write its rows, and when the worker stops relying on it."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.queue import lease as lease_store
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger

log = get_logger()
RETRY_SECONDS = 0.2


class Lease:
    """One lease at a time, renewed every third of its length on a separate connection.

    When it has expired, `on_lost` is awaited with its id, and a new lease is taken. `never_expires` is for fault tests:
    the worker keeps working under a lease that has expired.
    """

    def __init__(
        self,
        database: Database,
        seconds: float,
        on_lost: Callable[[UUID], Awaitable[None]],
        *,
        never_expires: bool = False,
    ) -> None:
        self._database = database
        self._seconds = seconds
        self._on_lost = on_lost
        self._never_expires = never_expires
        # The lease is live until this time of the monotonic clock, counted from before the last good renewal was sent.
        # The database counts from when it executed the statement, which is later, so the worker stops no later than the
        # database lets others rescue its runs: also if the answer was slow, the process was suspended or cut off, or
        # the wall clock was set back. It never compares its own wall clock with the database's.
        self._deadline = 0.0
        self._connection: Connection | None = None
        self.address = ""
        self.id = uuid4()

    def is_live(self) -> bool:
        """Whether a write under the lease can succeed."""
        return self._never_expires or time.monotonic() < self._deadline

    async def take(self) -> None:
        """Takes a lease with a new id."""
        self.id = uuid4()
        sent_at = time.monotonic()
        async with self._database.connection() as connection:
            host = f"{socket.gethostname()}:{os.getpid()}"
            await lease_store.take(connection, lease=self.id, host=host, address=self.address, seconds=self._seconds)
        self._deadline = sent_at + self._seconds

    async def serve(self) -> None:
        """Renews until cancelled; takes a new lease when the old one has expired."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            if not await self._renew() and not self._never_expires:
                log.warning("lease_lost", lease=str(self.id))
                self._deadline = 0.0
                await self._on_lost(self.id)
                await self._take_new()

    async def release(self) -> None:
        """Deletes the lease if no row is under it; otherwise it expires."""
        async with self._database.connection() as connection:
            await lease_store.delete_unused(connection, self.id)
        await self._disconnect()

    async def drain(self) -> None:
        """Lets no further claim happen under this lease."""
        async with self._database.connection() as connection:
            await lease_store.drain(connection, self.id)

    async def _renew(self) -> bool:
        """Renews the lease, with retries until it expires; False if it has expired."""
        while self.is_live():
            sent_at = time.monotonic()
            try:
                if not await self._renew_once():
                    return False
            except STORE_FAILURES as failure:
                log.warning("renewal_failed", failure=str(failure) or type(failure).__name__)
                await self._disconnect()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._deadline = sent_at + self._seconds
                return True
        return False

    async def _renew_once(self) -> bool:
        remaining = max(self._deadline - time.monotonic(), RETRY_SECONDS)
        async with asyncio.timeout(remaining):
            if self._connection is None:
                self._connection = await self._database.dedicated()
            return await lease_store.renew(self._connection, self.id, self._seconds)

    async def _take_new(self) -> None:
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
