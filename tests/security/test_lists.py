"""What a caller may not see does not show in lists, page tokens, warnings, errors or stored responses."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from gateway.authentication import authenticator
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, DeleteAgentRequest, ListAgentsRequest
from ordinaut.v1.approval_service_pb2 import ListApprovalsRequest
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ListRunsRequest
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ListTasksRequest,
    RunTaskRequest,
    ValidateTaskRequest,
)
from ordinaut.v1.tool_service_pb2 import CreateToolRequest, ListToolsRequest
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    a_task,
    gateway_system,
    refusal,
)
from tests.security.test_rights import narrowed

SCOPES = ("tasks:read", "tasks:write", "tasks:run", "runs:read", "runs:write", "approvals:read", "tools:read")
QUEUED = """
INSERT INTO approval (id, project, run, step, task, task_name, owner, depth, tool, hash, message, choices, editable,
  assignees, allow_self, state, create_time)
SELECT new_id(), 'default', new_id(), 'ask', new_id(), $1, 'agents/worker', 0, '', '', '?', '{approve}', '{}',
  '{}', false, 'PENDING', clock_now()
"""


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    """With a task, its run and approval, a tool and an agent named seen, and of each one named hidden."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started:
        worker = await started.agent("worker", *SCOPES)
        for name in ("hidden", "seen", "zhidden"):
            await worker.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=name))
            await worker.tasks.RunTask(RunTaskRequest(name=f"tasks/{name}"))
            tool = {"tool_id": name, "tool": {"http": {"url": "http://example.com/"}}}
            await started.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
            await started.admin.agents.CreateAgent(CreateAgentRequest(agent_id=name, agent=Agent(scopes=["runs:read"])))
            async with started.database.connection() as connection:
                await connection.execute(QUEUED, name)
        yield started


def request_of(noun: str, **fields: Any) -> Any:
    kinds = {
        "tasks": ListTasksRequest,
        "runs": ListRunsRequest,
        "approvals": ListApprovalsRequest,
        "tools": ListToolsRequest,
        "agents": ListAgentsRequest,
    }
    return kinds[noun](**fields)


async def listed(caller: Caller, noun: str, **fields: Any) -> Any:
    return await getattr(getattr(caller, noun), f"List{noun.capitalize()}")(request_of(noun, **fields))


async def a_reader(system: GatewaySystem, noun: str) -> Caller:
    if noun in {"tools", "agents"}:
        return await system.agent("reader", f"{noun}:read:s*n")
    return await narrowed(system, "worker", f"{noun}:read:s*n")


LISTS = ["tasks", "runs", "approvals", "tools", "agents"]


@pytest.mark.parametrize("noun", LISTS)
async def test_pages_are_full_of_what_is_visible(system: GatewaySystem, noun: str) -> None:
    """What is hidden neither shortens a page nor is named in its token."""
    reader = await a_reader(system, noun)
    page = await listed(reader, noun, page_size=1)
    [element] = getattr(page, noun)
    assert (getattr(element, "task", "") or element.name).endswith("/seen")
    assert not (
        await listed(reader, noun, page_size=1, page_token=page.next_page_token) if page.next_page_token else page
    ).next_page_token
    token = page.next_page_token
    assert b"hidden" not in base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("order", ["", "create_time desc", "create_time"])
async def test_a_filter_is_no_question_about_what_is_hidden(system: GatewaySystem, noun: str, order: str) -> None:
    """A filter that only a hidden resource meets gives what one gives that nothing meets."""
    reader = await a_reader(system, noun)
    field = "task" if noun in {"runs", "approvals"} else "name"
    collection = noun if field == "name" else "tasks"
    answers = []
    if noun == "tools" and order:
        pytest.skip("tools have no such order")
    for name in ("hidden", "zhidden", "nobody"):
        condition = f'{field} = "{collection}/{name}"'
        answers.append(await listed(reader, noun, filter=condition, page_size=1, order_by=order))
        negated = await listed(reader, noun, filter=f"NOT {condition}", page_size=1, order_by=order)
        assert len(getattr(negated, noun)) == 1
    assert answers[0] == answers[1] == answers[2]
    assert not answers[0].next_page_token


async def test_runs_without_a_task_need_a_glob_that_matches_a_dash(system: GatewaySystem) -> None:
    worker = await narrowed(system, "worker", "runs:read", "runs:write")
    document = {"pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}}
    await worker.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
    for glob, count in (("s*", 1), ("-", 1), ("*", 4), ("*e*", 3)):
        reader = await narrowed(system, "worker", f"runs:read:{glob}")
        assert len((await listed(reader, "runs")).runs) == count, glob


async def test_an_underscore_in_a_glob_is_an_underscore(system: GatewaySystem) -> None:
    for name in ("my_tool", "myxtool"):
        tool = {"tool_id": name, "tool": {"http": {"url": "http://example.com/"}}}
        await system.admin.tools.CreateTool(json_format.ParseDict(tool, CreateToolRequest()))
    reader = await system.agent("reader", "tools:read:my_t*")
    assert [tool.name for tool in (await listed(reader, "tools")).tools] == ["tools/my_tool"]


@pytest.mark.parametrize("scopes", [(), ("agents:read:s*n",)])
async def test_assignees_do_not_reveal_agents(system: GatewaySystem, scopes: tuple[str, ...]) -> None:
    """The warnings about an agent that exists, and about one that does not, are equal to whom may read neither."""
    caller = await system.agent("curious", "tasks:write", *scopes)
    warnings = []
    for name in ("hidden", "hiddem", "nobody"):
        ask = {"message": "?", "expires_in": "1h", "assignees": [name]}
        task = a_task(pipeline={"steps": [{"id": "a", "uses": "orchestrator.request_approval", "with": ask}]})
        checked = await caller.tasks.ValidateTask(ValidateTaskRequest(task=task))
        warnings.append([text.replace(name, "NAME") for text in checked.warnings])
        assert not checked.fixes
    assert warnings[0] == warnings[1] == warnings[2]


async def test_tools_that_one_may_not_call_are_as_those_that_do_not_exist(system: GatewaySystem) -> None:
    caller = await system.agent("curious", "tasks:write", "runs:write", "tools:call:s*n")
    for problem in ({}, {"if": "nonsense.x"}):
        refusals = []
        for name in ("hidden", "hiddem", "nobody"):
            task = a_task(pipeline={"steps": [{"id": "a", "uses": name, "with": {"x": 1}, **problem}]})
            refused = await refusal(caller.tasks.ValidateTask(ValidateTaskRequest(task=task)))
            known = {key: text.replace(name, "NAME") for key, text in refused.metadata.items()}
            refusals.append((refused.code, refused.reason, refused.fields, refused.fixes, known))
        assert refusals[0] == refusals[1] == refusals[2]


async def test_an_agent_that_is_created_again_gets_no_stored_responses(system: GatewaySystem) -> None:
    first = await system.agent("again", "state:write")
    request = json_format.ParseDict({"entry": {"name": "state/a/k", "value": 1}}, PutStateEntryRequest())
    request.request_id = "once"
    before = await first.state.PutStateEntry(request)
    await system.admin.agents.DeleteAgent(DeleteAgentRequest(name="agents/again"))
    second = await system.agent("again", "state:write")
    assert (await second.state.PutStateEntry(request)).revision == before.revision + 1
