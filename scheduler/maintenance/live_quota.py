"""Marks the owners and projects without room for another live run.

Schedules and events start no run of theirs, steps that would start one fail, and backfills wait. The mark is a few
seconds old, so a quota may be exceeded by what starts in this time.
"""

import time

from ordinaut.quotas import DEFAULTS
from ordinaut.store import quota
from ordinaut.store.database import Database

PAUSE_FACTOR = 50  # what takes long is counted less often


class LiveQuota:
    """Counts the live runs of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = float("-inf")

    async def run_once(self) -> bool:
        """Counts once; there is never more to do."""
        start = time.monotonic()
        if start < self._next:
            return False
        await self._database.repeat(
            lambda connection: quota.mark_over(connection, DEFAULTS["live_runs"]), one_statement=True
        )
        now = time.monotonic()
        self._next = now + (now - start) * PAUSE_FACTOR
        return False
