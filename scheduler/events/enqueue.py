"""Queues the runs that events start."""

from collections.abc import Sequence

from ordinaut.store.database import DATA_ERRORS
from ordinaut.store.queue import due_work_enqueue
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.events.match import Match
from scheduler.metrics import MATCH_REFUSED

log = get_logger()
ENQUEUE_BATCH = 500


async def enqueue(connection: Connection, matches: Sequence[Match]) -> tuple[int, int]:
    """Queues runs; returns how many, and how many of them were buffered because a run was live."""
    queued = buffered = 0
    for start in range(0, len(matches), ENQUEUE_BATCH):
        counts = await _enqueue(connection, matches[start : start + ENQUEUE_BATCH])
        queued, buffered = queued + counts[0], buffered + counts[1]
    return queued, buffered


async def _enqueue(connection: Connection, matches: Sequence[Match]) -> tuple[int, int]:
    """Queues runs; returns how many, and how many of them were buffered because a run was live.

    A batch that PostgreSQL rejects is bisected, and a single rejected run is left out.
    """
    try:
        async with connection.transaction():
            return await due_work_enqueue.enqueue_for_events(connection, matches)
    except DATA_ERRORS as failure:
        if len(matches) == 1:
            MATCH_REFUSED.inc()
            log.error("event_match_rejected", task=str(matches[0].task), uid=matches[0].uid, failure=str(failure))
            return 0, 0
    middle = len(matches) // 2
    first, second = [await _enqueue(connection, half) for half in (matches[:middle], matches[middle:])]
    return first[0] + second[0], first[1] + second[1]
