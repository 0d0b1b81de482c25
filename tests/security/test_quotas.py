"""What a project or an agent may have at most is refused at the door, with the name of the quota."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.admission import quotas
from ordinaut.embedded.database import quotas_of, set_quota
from ordinaut.errors import NotFoundError
from ordinaut.quotas import DEFAULTS, WATCHES_OF_A_TOKEN, Limit
from ordinaut.store import quota
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest, UpdateAgentRequest
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, PublishEventRequest, WatchEventsRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.state_service_pb2 import DeleteStateEntryRequest, PutStateEntryRequest
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from ordinaut.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CreateBackfillRequest,
    CreateTaskRequest,
    ListTasksRequest,
    RunTaskRequest,
    UpdateTaskRequest,
)
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    Refusal,
    a_task,
    gateway_system,
    refusal,
)
from tests.patience import PATIENCE

PIPELINE = {"pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": 1}}]}}


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(quotas, "REFRESH_SECONDS", 0.0)
    async with gateway_system(database_url) as started:
        yield started


async def limit(system: GatewaySystem, name: str, agent: int | None, project: int | None = None) -> None:
    async with system.database.connection() as connection:
        assert await quota.put(connection, project="default", quota=name, limit=Limit(agent, project))


def exceeded(refused: Refusal, name: str, limit: int, subject: str) -> None:
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    found = {key: refused.metadata[key] for key in ("quota", "limit", "subject")}
    assert found == {"quota": name, "limit": str(limit), "subject": subject}
    assert int(refused.metadata["used"]) >= 0


Call = Callable[[Caller, int], Awaitable[Any]]


def _tool(number: int) -> CreateToolRequest:
    http = {"method": "GET", "url": "http://example.com/"}
    tool = json_format.ParseDict({"description": "A tool.", "effect": "READ", "http": http}, Tool())
    return CreateToolRequest(tool_id=f"t.x{number}", tool=tool)


def _entry(number: int, size: int = 1) -> PutStateEntryRequest:
    return json_format.ParseDict({"entry": {"name": f"state/a/k{number}", "value": "x" * size}}, PutStateEntryRequest())


ADDED: dict[str, Call] = {
    "tasks": lambda caller, number: caller.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=f"t{number}")),
    "tools": lambda caller, number: caller.tools.CreateTool(_tool(number)),
    "agents": lambda caller, number: caller.agents.CreateAgent(
        CreateAgentRequest(agent_id=f"x{number}", agent=Agent())
    ),
    "tokens": lambda caller, _: caller.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin")),
    "live_runs": lambda caller, _: caller.runs.CreateRun(json_format.ParseDict(PIPELINE, CreateRunRequest())),
    "inline_runs": lambda caller, _: caller.runs.CreateRun(json_format.ParseDict(PIPELINE, CreateRunRequest())),
}
FREE = {"agents": 1, "tokens": 1}  # the agent `admin` and its token


@pytest.mark.parametrize("name", ADDED)
async def test_what_exceeds_a_quota_is_refused(system: GatewaySystem, name: str) -> None:
    """Exactly, of an agent or of its project."""
    add = ADDED[name]
    per_agent = DEFAULTS[name].agent is not None
    await limit(system, name, 3 if per_agent else None, None if per_agent else 3)
    for number in range(3 - FREE.get(name, 0)):
        await add(system.admin, number)
    refused = await refusal(add(system.admin, 9))
    exceeded(refused, name, 3, "agents/admin" if per_agent else "projects/default")
    assert refused.metadata["used"] == "3"
    other = await system.project("other")
    await add(other, 1)
    await limit(system, name, 4 if per_agent else None, None if per_agent else 4)
    await add(system.admin, 10)


async def test_concurrent_calls_do_not_exceed_a_quota(system: GatewaySystem) -> None:
    await limit(system, "tasks", 5)
    calls = [ADDED["tasks"](system.admin, number) for number in range(20)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(answer, Exception) for answer in answers) == 5


async def test_a_batch_counts_all_its_tasks(system: GatewaySystem) -> None:
    await limit(system, "tasks", None, 3)
    requests = [CreateTaskRequest(task=a_task(), task_id=f"t{number}") for number in range(4)]
    refused = await refusal(system.admin.tasks.BatchCreateTasks(BatchCreateTasksRequest(requests=requests)))
    exceeded(refused, "tasks", 3, "projects/default")
    await system.admin.tasks.BatchCreateTasks(BatchCreateTasksRequest(requests=requests[:3]))


def _batch(count: int) -> BatchPublishEventsRequest:
    return BatchPublishEventsRequest(requests=[PublishEventRequest(event=Event(topic="a.b"))] * count)


RATES: dict[str, Call] = {
    "calls_per_second": lambda caller, _: caller.tasks.ListTasks(ListTasksRequest()),
    "events_per_second": lambda caller, _: caller.events.BatchPublishEvents(_batch(5)),
    "state_writes_per_second": lambda caller, number: caller.state.PutStateEntry(_entry(number)),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("per_agent", [True, False])
async def test_what_is_too_fast_is_refused_for_a_time(system: GatewaySystem, name: str, per_agent: bool) -> None:
    """After the burst of ten seconds; other projects are not affected."""
    other = await system.project("other")
    await limit(system, name, 2 if per_agent else None, None if per_agent else 2)
    for number in range(40):
        try:
            await RATES[name](system.admin, number)
        except Exception:  # noqa: BLE001 - the next call is examined
            break
    refused = await refusal(RATES[name](system.admin, 99))
    exceeded(refused, name, 2, "agents/admin" if per_agent else "projects/default")
    assert refused.retry
    await RATES[name](other, 1)


async def test_deletions_of_state_are_writes(system: GatewaySystem) -> None:
    await limit(system, "state_writes_per_second", 1)
    for _ in range(10):
        found = await refusal(system.admin.state.DeleteStateEntry(DeleteStateEntryRequest(name="state/a/b")))
        assert found.code == "NOT_FOUND"
    found = await refusal(system.admin.state.DeleteStateEntry(DeleteStateEntryRequest(name="state/a/b")))
    exceeded(found, "state_writes_per_second", 1, "agents/admin")


async def test_the_bytes_of_a_project_are_limited(system: GatewaySystem) -> None:
    await limit(system, "state_bytes", None, 10_000)
    await system.admin.state.PutStateEntry(_entry(1, 6_000))
    refused = await refusal(system.admin.state.PutStateEntry(_entry(2, 6_000)))
    exceeded(refused, "state_bytes", 10_000, "projects/default")
    await limit(system, "pipeline_bytes", None, 10)
    exceeded(await refusal(ADDED["tasks"](system.admin, 1)), "pipeline_bytes", 10, "projects/default")
    exceeded(await refusal(ADDED["inline_runs"](system.admin, 1)), "pipeline_bytes", 10, "projects/default")


async def watching(caller: Caller) -> tuple["asyncio.Task[Any]", Any]:
    """A stream of events, and the task that reads it."""
    stream = caller.events.WatchEvents(WatchEventsRequest())
    return asyncio.create_task(stream.read()), stream


async def test_the_streams_of_a_token_are_limited(system: GatewaySystem) -> None:
    """And end with it: afterwards others may be opened."""
    streams = [await watching(system.admin) for _ in range(WATCHES_OF_A_TOKEN)]
    while system.gateway.door.streams("default") < WATCHES_OF_A_TOKEN:
        await asyncio.sleep(0)
    refused = await refusal(system.admin.events.WatchEvents(WatchEventsRequest()))
    assert (refused.reason, refused.metadata["quota"]) == ("QUOTA_EXCEEDED", "watches")
    assert (refused.metadata["limit"], refused.retry) == (str(WATCHES_OF_A_TOKEN), True)
    second = system.caller((await ADDED["tokens"](system.admin, 0)).secret)
    streams.append(await watching(second))
    for reading, stream in streams:
        stream.cancel()
        reading.cancel()
    await asyncio.gather(*(reading for reading, _ in streams), return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        while system.gateway.door.streams("default"):
            await asyncio.sleep(0.01)


async def test_the_streams_of_an_agent_are_limited(system: GatewaySystem) -> None:
    await limit(system, "watches", 1)
    reading, stream = await watching(system.admin)
    while not system.gateway.door.streams("default"):
        await asyncio.sleep(0)
    exceeded(await refusal(system.admin.events.WatchEvents(WatchEventsRequest())), "watches", 1, "agents/admin")
    stream.cancel()
    reading.cancel()


async def test_status_shows_the_quotas(system: GatewaySystem) -> None:
    await limit(system, "tasks", 7)
    for name in ("tasks", "live_runs", "state_writes_per_second"):
        await {**ADDED, **RATES}[name](system.admin, 1)
    status = await system.admin.system.GetStatus(GetStatusRequest())
    shown = {(each.quota, each.subject): (each.used, each.limit) for each in status.quotas}
    assert shown["tasks", "agents/admin"] == (1, 7)
    assert shown["tasks", "projects/default"] == (1, DEFAULTS["tasks"].project)
    assert shown["live_runs", "agents/admin"] == (1, DEFAULTS["live_runs"].agent)
    assert {name for name, _ in shown} == set(DEFAULTS)


async def test_quotas_are_set_at_the_database(system: GatewaySystem, database_url: str) -> None:
    """By what `ordinaut project quota` calls."""
    await set_quota(database_url, "default", "tasks", Limit(0, None))
    assert await quotas_of(database_url, "default") == {"tasks": Limit(0, None)}
    exceeded(await refusal(ADDED["tasks"](system.admin, 1)), "tasks", 0, "agents/admin")
    await set_quota(database_url, "default", "tasks", Limit(None, None))
    await ADDED["tasks"](system.admin, 1)
    with pytest.raises(NotFoundError):
        await set_quota(database_url, "unknown", "tasks", Limit(1, None))


MIN = ("tasks:read", "tasks:write", "tasks:run", "runs:write", "agents:write", "agents:read")


def urgent(priority: int) -> Any:
    return a_task(run_policy={"priority": priority}, schedule={"triggers": [{"id": "a", "interval": "3600s"}]})


async def test_an_agent_may_not_be_more_urgent_than_its_limit(system: GatewaySystem) -> None:
    """In a task, also a scheduled one, in a run, and in a backfill; an admin's call for its task is limited as well."""
    agent = await system.agent("worker", *MIN)
    await agent.tasks.CreateTask(CreateTaskRequest(task=urgent(3), task_id="one"))
    for caller in (agent, system.admin):
        for call in (
            caller.tasks.UpdateTask(
                UpdateTaskRequest(
                    task=json_format.ParseDict({"name": "tasks/one", "run_policy": {"priority": 2}}, type(urgent(3))()),
                    update_mask=FieldMask(paths=["run_policy.priority"]),
                )
            ),
            caller.tasks.RunTask(RunTaskRequest(name="tasks/one", priority=1)),
            caller.tasks.CreateBackfill(CreateBackfillRequest(parent="tasks/one", backfill=Backfill(priority=2))),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "PRIORITY_NOT_ALLOWED")
            assert (refused.metadata["limit"], refused.metadata["subject"]) == ("3", "agents/worker")
    for call in (
        agent.tasks.CreateTask(CreateTaskRequest(task=urgent(1), task_id="two")),
        agent.runs.CreateRun(json_format.ParseDict({**PIPELINE, "run_policy": {"priority": 1}}, CreateRunRequest())),
    ):
        assert (await refusal(call)).reason == "PRIORITY_NOT_ALLOWED"
    run: Run = await agent.tasks.RunTask(RunTaskRequest(name="tasks/one", priority=3))
    assert run.name


async def test_the_limit_of_urgency_is_granted_by_those_who_have_it(system: GatewaySystem) -> None:
    agent = await system.agent("worker", *MIN)
    made = await agent.agents.CreateAgent(CreateAgentRequest(agent_id="below", agent=Agent()))
    assert made.min_priority == 3
    refused = await refusal(agent.agents.CreateAgent(CreateAgentRequest(agent_id="above", agent=Agent(min_priority=2))))
    assert refused.reason == "PRIORITY_NOT_ALLOWED"
    for name in ("worker", "below"):
        request = UpdateAgentRequest(
            agent=Agent(name=f"agents/{name}", min_priority=1), update_mask=FieldMask(paths=["min_priority"])
        )
        assert (await refusal(agent.agents.UpdateAgent(request))).reason == "PRIORITY_NOT_ALLOWED"
        assert (await system.admin.agents.UpdateAgent(request)).min_priority == 1
