"""Lists can be filtered and ordered; pages together are the whole, and values stay values."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from ordinaut.v1.agent_service_pb2 import ListAgentsRequest
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import ListEventsRequest, PublishEventRequest, WatchEventsRequest
from ordinaut.v1.run_service_pb2 import CancelRunRequest, ListRunsRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ListTasksRequest,
    PauseTaskRequest,
    RunTaskRequest,
    UpdateTaskRequest,
)
from ordinaut.v1.tool_service_pb2 import ListToolsRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG_AGO = "2000-01-01T00:00:00Z"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    """Five tasks: a to e; c is paused, b was changed last; two runs of a, the first one cancelled."""
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        tasks, runs = started.admin.tasks, started.admin.runs
        for name, team in (("d", "mail"), ("c", "50%_off"), ("b", ""), ("e", "mail"), ("a", "it's")):
            labels = {"team": team} if team else {}
            await tasks.CreateTask(
                CreateTaskRequest(task=a_task(labels=labels, display_name=f"T {name}"), task_id=name)
            )
        await tasks.PauseTask(PauseTaskRequest(name="tasks/c"))
        await tasks.UpdateTask(UpdateTaskRequest(task=Task(name="tasks/b", description="new")))
        first = await tasks.RunTask(RunTaskRequest(name="tasks/a"))
        await tasks.RunTask(RunTaskRequest(name="tasks/a"))
        await runs.CancelRun(CancelRunRequest(name=first.name, reason="enough"))
        await started.agent("reader", "tasks:read", "runs:read")
        yield started


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abcde"),
        ("state = PAUSED", "c"),
        ("state != PAUSED", "abde"),
        ("NOT state = PAUSED AND NOT name = 'tasks/a'", "bde"),
        ("labels.team = mail", "de"),
        ("labels.team != mail", "abc"),
        ("labels : team", "acde"),
        ("NOT labels : team", "b"),
        ('labels.team = "it\'s"', "a"),
        (r"labels.team = 'it\'s'", "a"),
        ("labels.team : '%'", "c"),
        ("labels.team : '_'", "c"),
        ("labels.team = '%'", ""),
        ("display_name > 'T c'", "de"),
        ("version = 1 AND owner = 'agents/admin'", "abcde"),
        ("version > 1", ""),
        (f"create_time > '{LONG_AGO}'", "abcde"),
        (f"update_time <= '{LONG_AGO}'", ""),
        ("name = 'x'' OR 1=1 --'", None),
        ("name = \"x' OR '1'='1\"", ""),
        ("name : 'tasks/'", "abcde"),
        ("(name = tasks/a OR name = tasks/b) AND labels : team", "a"),
    ],
)
async def test_tasks_are_filtered(system: GatewaySystem, text: str, found: str | None) -> None:
    call = system.admin.tasks.ListTasks(ListTasksRequest(filter=text))
    if found is None:
        assert (await refusal(call)).fields == ["filter"]
        return
    assert [task.name for task in (await call).tasks] == [f"tasks/{name}" for name in found]


@pytest.mark.parametrize(
    ("order_by", "names"),
    [("", "abcde"), ("name desc", "edcba"), ("create_time", "dcbea"), ("create_time desc", "aebcd")],
)
async def test_pages_of_an_ordered_list_are_complete(system: GatewaySystem, order_by: str, names: str) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = await system.admin.tasks.ListTasks(
            ListTasksRequest(order_by=order_by, page_size=2, page_token=token, filter="version = 1")
        )
        found += [task.name for task in page.tasks]
        if not (token := page.next_page_token):
            break
    assert found == [f"tasks/{name}" for name in names]


async def test_tasks_are_ordered_by_update_time(system: GatewaySystem) -> None:
    page = await system.admin.tasks.ListTasks(ListTasksRequest(order_by="update_time desc", page_size=1))
    assert [task.name for task in page.tasks] == ["tasks/b"]


async def test_a_page_token_is_valid_for_its_filter_and_order(system: GatewaySystem) -> None:
    page = await system.admin.tasks.ListTasks(ListTasksRequest(page_size=1, filter="version = 1"))
    for changed in ({"filter": "version = 2"}, {"filter": "version = 1", "order_by": "name desc"}):
        request = ListTasksRequest(page_size=1, page_token=page.next_page_token, **changed)
        assert (await refusal(system.admin.tasks.ListTasks(request))).reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("state = CANCELLED", 1),
        ("state = QUEUED", 1),
        ("kind = MANUAL AND task = tasks/a", 2),
        ("cancel_reason : enough", 1),
        ("start_time != '2000-01-01T00:00:00Z'", 2),
        (f"end_time > '{LONG_AGO}'", 1),
        (f"NOT end_time > '{LONG_AGO}'", 1),
        ("error.code = TIMEOUT", 0),
        ("claims = 0", 2),
    ],
)
async def test_live_and_ended_runs_are_filtered(system: GatewaySystem, text: str, count: int) -> None:
    assert len((await system.admin.runs.ListRuns(ListRunsRequest(filter=text))).runs) == count


async def test_runs_are_ordered_by_their_creation(system: GatewaySystem) -> None:
    newest = [run.name for run in (await system.admin.runs.ListRuns(ListRunsRequest())).runs]
    oldest = []
    token = ""
    for _ in newest:
        request = ListRunsRequest(order_by="create_time", page_size=1, page_token=token)
        page = await system.admin.runs.ListRuns(request)
        oldest += [run.name for run in page.runs]
        token = page.next_page_token
    assert oldest == newest[::-1]
    assert (await refusal(system.admin.runs.ListRuns(ListRunsRequest(order_by="end_time")))).fields == ["order_by"]


async def test_tools_and_agents_are_filtered(system: GatewaySystem) -> None:
    tools = await system.admin.tools.ListTools(ListToolsRequest(filter="effect = READ AND name : state"))
    assert [tool.name for tool in tools.tools] == ["tools/orchestrator.get_state"]
    agents = await system.admin.agents.ListAgents(ListAgentsRequest(filter="scopes : 'runs:read'"))
    assert [agent.name for agent in agents.agents] == ["agents/reader"]
    ordered = await system.admin.agents.ListAgents(ListAgentsRequest(order_by="create_time desc"))
    assert [agent.name for agent in ordered.agents] == ["agents/reader", "agents/admin"]


async def test_a_filter_does_not_extend_visibility(system: GatewaySystem) -> None:
    """Another's tasks and runs stay unseen, whatever is asked."""
    other = await system.agent("other", "tasks:read", "runs:read")
    everything = "owner = 'agents/admin' OR NOT owner = 'agents/admin'"
    assert not (await other.tasks.ListTasks(ListTasksRequest(filter=everything))).tasks
    assert not (await other.runs.ListRuns(ListRunsRequest(filter=everything))).runs


async def test_events_are_filtered_by_content(system: GatewaySystem, numbered: Callable[[GatewaySystem], Any]) -> None:
    for total in (50, 150, 250):
        event = Event(topic="orders.paid")
        event.data.update({"order": {"total": total}})
        await system.admin.events.PublishEvent(PublishEventRequest(event=event))
    await numbered(system)
    text = "data.order.total > 100 AND publisher = agents/admin"
    first = await system.admin.events.ListEvents(ListEventsRequest(topic="orders.*", filter=text, page_size=1))
    second = await system.admin.events.ListEvents(
        ListEventsRequest(topic="orders.*", filter=text, page_size=1, page_token=first.next_page_token)
    )
    totals = [event.data["order"]["total"] for page in (first, second) for event in page.events]
    assert totals == [150, 250]
    watch = WatchEventsRequest(topic="orders.*", filter="data.order.total = 250", after_position=0)
    async for told in system.admin.events.WatchEvents(watch):
        assert told.event.data["order"]["total"] == 250
        break
    refused = await refusal(system.admin.events.WatchEvents(WatchEventsRequest(filter="nope = 1")))
    assert refused.fields == ["filter"]


@pytest.fixture
def numbered() -> Callable[[GatewaySystem], Any]:
    """Gives the log's rows their positions, as a relay does."""
    from ordinaut.store import event  # noqa: PLC0415 - beside its only use

    async def number(system: GatewaySystem) -> None:
        async with system.database.transaction() as connection:
            await event.number(connection)

    return number
