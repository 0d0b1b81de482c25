"""What operators see: late tasks, the effects of a deleted tool, and lists that stay cheap."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from gateway.events.service import SCAN_EVENTS_MAX
from ordinaut.quotas import Limit
from ordinaut.store import event, quota
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, ListEventsRequest, PublishEventRequest
from ordinaut.v1.system_service_pb2 import GetStatusRequest, LateTask
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest, DeleteToolRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import Caller, GatewaySystem, a_task, gateway_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOURLY = {"triggers": [{"cron": "@hourly"}], "time_zone": "UTC"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        async with started.database.connection() as connection:  # before the first call reads the quotas
            limit = Limit(100_000, 100_000)
            await quota.put(connection, project="default", quota="events_per_second", limit=limit)
        yield started


async def create(caller: Caller, name: str, **fields: object) -> None:
    await caller.tasks.CreateTask(CreateTaskRequest(task=a_task(**fields), task_id=name))


async def test_status_names_the_tasks_that_are_late(system: GatewaySystem) -> None:
    """Those of the project; an agent that is no admin sees its own."""
    other = await system.agent("other", "tasks:write", "tasks:run", "system:read")
    stranger = await system.project("stranger")
    await create(system.admin, "unfired", schedule=HOURLY)
    await create(system.admin, "on-time", schedule=HOURLY)
    await create(system.admin, "unsuccessful", run_policy={"expect_success_every": "3600s"})
    await create(system.admin, "successful", run_policy={"expect_success_every": "3600s"})
    await create(other, "unstarted")
    await create(other, "started")
    for name in ("unstarted", "started"):
        await other.tasks.RunTask(RunTaskRequest(name=f"tasks/{name}"))
    async with system.database.connection() as connection:
        of = "(SELECT uid FROM task WHERE name = $1)"
        later = "clock_now() + interval '1 hour'"
        await connection.execute(f"UPDATE schedule_cursor SET next_fire_time = {later}")
        past = f"UPDATE schedule_cursor SET next_fire_time = clock_now() - interval '10 minutes' WHERE task = {of}"
        await connection.execute(past, "unfired")
        ready = f"UPDATE due_work SET ready_time = clock_now() - interval '2 minutes' WHERE task = {of}"
        await connection.execute(ready, "unstarted")
        await connection.execute(f"UPDATE task_health SET overdue_time = 'infinity' WHERE task = {of}", "unsuccessful")
    late = (await system.admin.system.GetStatus(GetStatusRequest())).late_tasks
    assert [(task.task, task.reason) for task in late] == [
        ("tasks/unfired", LateTask.NOT_FIRED),
        ("tasks/unstarted", LateTask.NOT_STARTED),
        ("tasks/unsuccessful", LateTask.NO_SUCCESS),
    ]
    assert timedelta(minutes=10) <= late[0].delay.ToTimedelta() < timedelta(minutes=11)
    assert late[0].HasField("due_time")
    assert not late[2].HasField("delay")
    visible = (await other.system.GetStatus(GetStatusRequest())).late_tasks
    assert [task.task for task in visible] == ["tasks/unstarted"]
    status = await stranger.system.GetStatus(GetStatusRequest())
    assert (list(status.late_tasks), status.workers) == ([], 0)


async def test_deleting_a_tool_names_the_tasks_that_use_it(system: GatewaySystem) -> None:
    keeper = await system.agent("keeper", "tools:write", "tools:call", "tasks:write")
    for name, lookup in (("mail.send", "mail.find"), ("mail.find", "")):
        tool = Tool(effect=Tool.UNSAFE if lookup else Tool.READ)
        tool.http.url = "http://127.0.0.1:9/x"
        tool.lookup.uses = lookup
        if not lookup:
            tool.ClearField("lookup")
        await keeper.tools.CreateTool(CreateToolRequest(tool=tool, tool_id=name))
    steps = {"steps": [{"id": "a", "uses": "mail.send", "with": {}}]}
    nested = {"steps": [{"id": "both", "branches": {"one": steps["steps"]}}]}
    await create(keeper, "letter", pipeline=steps)
    await create(keeper, "nested", pipeline=nested)
    await create(system.admin, "hidden", pipeline=steps)
    deleted = await keeper.tools.DeleteTool(DeleteToolRequest(name="tools/mail.send", request_id="once"))
    assert list(deleted.warnings) == [
        "tasks/letter uses tools/mail.send: the steps that call it fail until it is registered again",
        "tasks/nested uses tools/mail.send: the steps that call it fail until it is registered again",
        "1 task of other owners use tools/mail.send",
    ]
    assert await keeper.tools.DeleteTool(DeleteToolRequest(name="tools/mail.send", request_id="once")) == deleted
    assert not (await keeper.tools.DeleteTool(DeleteToolRequest(name="tools/mail.find"))).warnings


async def test_a_filter_that_matches_nothing_reads_a_limited_number_of_events(system: GatewaySystem) -> None:
    """Pages may be empty; together they are the whole."""
    count, batch = SCAN_EVENTS_MAX * 2 + 500, 500
    for first in range(0, count, batch):
        requests = [
            PublishEventRequest(event=Event(topic="noise.x" if number % 1000 else "noise.match"))
            for number in range(first, first + batch)
        ]
        await system.admin.events.BatchPublishEvents(BatchPublishEventsRequest(requests=requests))
    async with system.database.transaction() as connection:
        while await event.number(connection):
            pass
    pages, token, topics = 0, "", []
    while True:
        request = ListEventsRequest(filter="topic = 'noise.match'", page_token=token)
        start = time.monotonic()
        page = await system.admin.events.ListEvents(request)
        assert time.monotonic() - start < 2.0
        topics += [found.topic for found in page.events]
        pages, token = pages + 1, page.next_page_token
        if not token:
            break
    assert topics == ["noise.match"] * 3
    assert pages >= 3
