"""The instants of a schedule in a time range, read from the scheduler, and those that a backfill would run."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from gateway.api.json_values import timestamp
from gateway.api.violations import Problems, reroot
from gateway.clients import SchedulerClient
from ordinaut.clock import EPOCH
from ordinaut.internal.v1.scheduler_service_pb2 import ListInstantsRequest, ListInstantsResponse
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule

INSTANTS_MAX = 50_000
PAGE = 5_000  # instants of one request: the scheduler computes them in a fraction of a second


@dataclass(frozen=True, slots=True)
class DueTimes:
    """The instants of a range in ascending order, each with its key without the generation."""

    instants: list[datetime] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


async def due_times(
    scheduler: SchedulerClient, schedule: Schedule, after: datetime, until: datetime, problems: Problems
) -> DueTimes:
    """Returns the instants of a stored schedule in (after, until]; none, or more than 50 000, are violations.

    Raises:
        UnavailableError: SCHEDULER_UNAVAILABLE.
    """
    due = DueTimes()
    async for page in _instant_pages(scheduler, schedule, after, until):
        problems.extend(reroot(page.violations, "backfill"))
        due.instants.extend(EPOCH + timedelta(microseconds=us) for us in page.instants_us)
        due.keys.extend(page.keys)
        if len(due.instants) > INSTANTS_MAX:
            message = f"the range must contain at most {INSTANTS_MAX} instants of the schedule; split it"
            problems.add("backfill.until_time", message, ErrorReason.TOO_LARGE)
            break
    if not due.instants and not problems.violations:
        problems.add("backfill.until_time", "the range must contain at least one instant of the task's schedule")
    return due


async def _instant_pages(
    scheduler: SchedulerClient, schedule: Schedule, after: datetime, until: datetime
) -> AsyncIterator[ListInstantsResponse]:
    request = ListInstantsRequest(schedule=schedule, count=PAGE)
    request.until_time.CopyFrom(timestamp(until))
    has_next = True
    while has_next:
        request.after_time.CopyFrom(timestamp(after))
        page = await scheduler.instants(request)
        yield page
        has_next = page.more
        if has_next:
            after = EPOCH + timedelta(microseconds=page.instants_us[-1])


async def selected_instants(connection: Connection, task: UUID, reprocess: str, due: DueTimes) -> list[datetime]:
    """Returns the instants that a backfill would run now, in ascending order."""
    mark = await backfill.ledger_mark(connection, task)
    instants: list[datetime] = []
    for start in range(0, len(due.instants), PAGE):
        examined = await backfill.examine(
            connection,
            task=task,
            reprocess=reprocess,
            settled_until=mark.settled_until,
            instants=due.instants[start : start + PAGE],
            keys=[f"{mark.generation}/{nominal}" for nominal in due.keys[start : start + PAGE]],
        )
        instants += [record.instant for record in examined if record.selected]
    return instants
