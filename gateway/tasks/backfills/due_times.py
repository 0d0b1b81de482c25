"""The due moments between two instants, as the scheduler tells them, and which of them a backfill would run."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from gateway.api.json_values import timestamp
from gateway.api.violations import Problems, reroot
from gateway.clients import Scheduler
from ordinaut.clock import EPOCH
from ordinaut.internal.v1.scheduler_service_pb2 import ListInstantsRequest, ListInstantsResponse
from ordinaut.store import backfill
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule

INSTANTS_MAX = 50_000
PAGE = 5_000  # instants of one question: a fraction of a second of work


@dataclass(frozen=True, slots=True)
class DueMoments:
    """The instants of a range, rising, each with its key without the generation."""

    instants: list[datetime] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


async def due_moments(
    scheduler: Scheduler, schedule: Schedule, after: datetime, until: datetime, problems: Problems
) -> DueMoments:
    """The instants of a stored schedule in (after, until]; none, and more than 50 000, are problems.

    Raises:
        UnavailableError: SCHEDULER_UNAVAILABLE.
    """
    found = DueMoments()
    async for page in _pages(scheduler, schedule, after, until):
        problems.extend(reroot(page.violations, "backfill"))
        found.instants.extend(EPOCH + timedelta(microseconds=us) for us in page.instants_us)
        found.keys.extend(page.keys)
        if len(found.instants) > INSTANTS_MAX:
            message = f"more than {INSTANTS_MAX} moments of the schedule lie in the range: make several of it"
            problems.add("backfill.until_time", message, ErrorReason.TOO_LARGE)
            break
    if not found.instants and not problems.found:
        problems.add("backfill.until_time", "no moment of the task's schedule lies in the range")
    return found


async def _pages(
    scheduler: Scheduler, schedule: Schedule, after: datetime, until: datetime
) -> AsyncIterator[ListInstantsResponse]:
    request = ListInstantsRequest(schedule=schedule, count=PAGE)
    request.until_time.CopyFrom(timestamp(until))
    more = True
    while more:
        request.after_time.CopyFrom(timestamp(after))
        page = await scheduler.instants(request)
        yield page
        more = page.more
        if more:
            after = EPOCH + timedelta(microseconds=page.instants_us[-1])


async def wanted(connection: Connection, task: UUID, reprocess: str, due: DueMoments) -> list[datetime]:
    """Those of the moments that a backfill would run now, rising."""
    mark = await backfill.ledger_mark(connection, task)
    found: list[datetime] = []
    for start in range(0, len(due.instants), PAGE):
        examined = await backfill.examine(
            connection,
            task=task,
            reprocess=reprocess,
            settled_until=mark.settled_until,
            instants=due.instants[start : start + PAGE],
            keys=[f"{mark.generation}/{nominal}" for nominal in due.keys[start : start + PAGE]],
        )
        found += [record.instant for record in examined if record.selected]
    return found
