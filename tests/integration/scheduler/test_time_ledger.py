"""ListOccurrences: every moment at which a task was due can be found again, with what became of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest_asyncio

from ordinaut.settings import StoreSettings
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ListOccurrencesRequest,
    ListOccurrencesResponse,
    RunTaskRequest,
)
from tests.integration.support.gateway_system import Caller, GatewaySystem, a_task, gateway_system, refusal
from tests.integration.support.scheduler_rig import LoopRunner

LATER = """
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp() + interval '125 minutes';
END $$
"""
LEDGER = """
INSERT INTO occurrence (project, task, key, trigger, instant, last_instant, count, outcome, reason, create_time)
SELECT 'default', $1, '1/cron:' || n, CASE WHEN n % 2 = 0 THEN 'even' ELSE 'odd' END,
  CASE WHEN n % 5 > 0 THEN
    timestamptz '2026-05-01T00:00:00Z' + n / 2 * interval '1 minute' + n % 2 * interval '1 second' END,
  NULL, 1, (ARRAY['ENQUEUED', 'MISSED', 'PAUSED'])[n % 3 + 1], '',
  timestamptz '2026-05-01T00:00:00Z' + n / 10 * interval '1 minute'
FROM generate_series(1, 120) AS n
"""


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def created(system: GatewaySystem, name: str, **schedule: Any) -> UUID:
    wanted = CreateTaskRequest(task=a_task(schedule=schedule), task_id=name)
    return UUID((await system.admin.tasks.CreateTask(wanted)).uid)


async def page(caller: Caller, **fields: Any) -> ListOccurrencesResponse:
    answer: ListOccurrencesResponse = await caller.tasks.ListOccurrences(
        ListOccurrencesRequest(parent="tasks/one", **fields)
    )
    return answer


async def pages(caller: Caller, size: int, **fields: Any) -> list[Occurrence]:
    """All pages, one after the other."""
    found: list[Occurrence] = []
    token = ""
    while True:
        answer = await page(caller, page_size=size, page_token=token, **fields)
        found += answer.occurrences
        token = answer.next_page_token
        if not token:
            return found


async def test_every_instant_of_an_outage_has_an_outcome(system: GatewaySystem, database_url: str) -> None:
    """What ran leads to its run, what was missed stands in one entry with its reason."""
    await created(
        system, "one", triggers=[{"interval": "600s"}], catch_up={"policy": "ALL", "max": 3, "window": "3000s"}
    )
    manual = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    runner = LoopRunner(system.database, StoreSettings(database_url=database_url))
    await runner.once()
    async with system.database.connection() as connection:
        await connection.execute(LATER)
    for _ in range(10):
        await runner.once()
        async with system.database.connection() as connection:  # each run ends at once
            await connection.execute("DELETE FROM due_work WHERE kind = 'SCHEDULED'")
    found = (await page(system.admin)).occurrences
    outcomes = [(Occurrence.Outcome.Name(entry.outcome), entry.count) for entry in found]
    assert outcomes == [("ENQUEUED", 1)] * 3 + [("MISSED", 9), ("ENQUEUED", 1)]
    assert found[3].reason == "only the newest 3 are caught up"
    assert found[3].last_due_time.ToDatetime(UTC) - found[3].due_time.ToDatetime(UTC) == timedelta(minutes=80)
    assert found[2].due_time.ToDatetime(UTC) - found[3].last_due_time.ToDatetime(UTC) == timedelta(minutes=10)
    assert found[0].name == f"tasks/one/occurrences/{found[0].due_time.ToDatetime(UTC):%Y%m%dT%H%M%SZ}"
    asked = found[-1]
    assert (asked.run, asked.trigger, asked.HasField("due_time")) == (manual.name, "", False)
    run = await system.admin.runs.GetRun(GetRunRequest(name=asked.run))
    assert asked.name == f"tasks/one/occurrences/{run.occurrence}"


async def test_pages_contain_every_row_once_in_order(system: GatewaySystem) -> None:
    """Whatever the size and the direction, also where moments are equal and some have no instant."""
    task = await created(system, "one")
    async with system.database.connection() as connection:
        await connection.execute(LEDGER, task)
    whole = (await page(system.admin, page_size=1000)).occurrences
    names = [entry.name for entry in whole]
    assert len(set(names)) == 120
    times = [(entry.due_time if entry.HasField("due_time") else entry.create_time).ToDatetime(UTC) for entry in whole]
    assert times == sorted(times, reverse=True)
    for size in (1, 7, 60, 120):
        assert [entry.name for entry in await pages(system.admin, size)] == names
    assert [entry.name for entry in await pages(system.admin, 50, order_by="time")] == names[::-1]


async def test_filters_by_outcome_and_time(system: GatewaySystem) -> None:
    """Alone, together, and page by page."""
    task = await created(system, "one")
    async with system.database.connection() as connection:
        await connection.execute(LEDGER, task)
    missed = await pages(system.admin, 7, filter="outcome = MISSED")
    assert {entry.outcome for entry in missed} == {Occurrence.MISSED}
    assert len(missed) == 40
    since = datetime(2026, 5, 1, 0, 30, tzinfo=UTC)
    late = await pages(system.admin, 7, filter=f'outcome = MISSED AND time >= "{since.isoformat()}" AND trigger = odd')
    assert [entry.name for entry in late] == [
        entry.name for entry in missed if entry.trigger == "odd" and entry.due_time.ToDatetime(UTC) >= since
    ]
    assert late


async def test_invalid_requests(system: GatewaySystem) -> None:
    """Others' tasks do not exist; wrong filters, orders and tokens are told apart."""
    await created(system, "one")
    stranger = await system.agent("stranger", "tasks:read")
    call = system.admin.tasks.ListOccurrences
    request = ListOccurrencesRequest(parent="tasks/one")
    assert (await refusal(stranger.tasks.ListOccurrences(request))).code == "NOT_FOUND"
    assert (await refusal(call(ListOccurrencesRequest(parent="tasks/none")))).code == "NOT_FOUND"
    assert (await refusal(call(ListOccurrencesRequest(parent="runs/one")))).fields == ["parent"]
    wrong = {
        "filter": ListOccurrencesRequest(parent="tasks/one", filter="outcome = LATE"),
        "order_by": ListOccurrencesRequest(parent="tasks/one", order_by="reason"),
        "page_token": ListOccurrencesRequest(parent="tasks/one", page_token="x"),
    }
    for field, request in wrong.items():
        assert (await refusal(call(request))).fields == [field]
