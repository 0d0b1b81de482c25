"""Stores when tokens were last used, in batches, so that no call waits for the write."""

import asyncio
import time
from collections import OrderedDict

from ordinaut.store import identity
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.telemetry import get_logger

log = get_logger()
LINGER_SECONDS = 0.5
INTERVAL_SECONDS = 60.0 + LINGER_SECONDS
TOKENS_MAX = 10_000


class TokenUses:
    """Collects uses, each token at most once a minute; run `serve` as a task for the lifetime of the process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_noted: OrderedDict[str, float] = OrderedDict()
        self._pending: set[str] = set()
        self._wake = asyncio.Event()

    def note_use(self, public_id: str) -> None:
        """Records that a valid token was presented."""
        now = time.monotonic()
        if now - self._last_noted.get(public_id, -INTERVAL_SECONDS) < INTERVAL_SECONDS:
            return
        self._last_noted[public_id] = now
        self._last_noted.move_to_end(public_id)
        if len(self._last_noted) > TOKENS_MAX:
            self._last_noted.popitem(last=False)
        self._pending.add(public_id)
        self._wake.set()

    async def serve(self) -> None:
        """Writes pending uses until cancelled; a batch that cannot be written is merged into the next one."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(LINGER_SECONDS)  # collects a batch
            self._wake.clear()
            pending, self._pending = self._pending, set()
            try:
                async with self._database.connection() as connection:
                    await identity.note_uses(connection, pending)
            except STORE_FAILURES as failure:
                self._pending |= pending
                log.warning("token_uses_not_written", tokens=len(pending), failure=str(failure))
