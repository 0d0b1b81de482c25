"""A request_id makes a call happen once, and a page token is good for its own question only."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from ordinaut.v1.agent_service_pb2 import ListAgentsRequest
from ordinaut.v1.run_service_pb2 import ListRunsRequest
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    DeleteTaskRequest,
    ListTasksRequest,
    PauseTaskRequest,
    RunTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal
from tests.patience import PATIENCE


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def count(system: GatewaySystem, table: str) -> int:
    async with system.database.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_a_repeated_request_gets_the_same_response(system: GatewaySystem) -> None:
    """Also when its resource has gone since; without an id it is a new request."""
    request = CreateTaskRequest(task=a_task(), task_id="one", request_id="first")
    created = await system.admin.tasks.CreateTask(request)
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/one"))
    assert await system.admin.tasks.CreateTask(request) == created
    request.request_id = ""
    assert (await system.admin.tasks.CreateTask(request)).uid != created.uid


async def test_concurrent_copies_of_a_request_create_one_run(system: GatewaySystem) -> None:
    """All get the same answer."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    request = RunTaskRequest(name="tasks/one", request_id="race")
    answers = await asyncio.gather(*(system.admin.tasks.RunTask(request) for _ in range(12)))
    assert len({answer.name for answer in answers}) == 1
    assert await count(system, "due_work") == 1


async def test_one_of_concurrent_creations_of_a_name_succeeds(system: GatewaySystem) -> None:
    """The copies of the winner's request included."""
    ids = ["a", "b"] * 4
    answers = await asyncio.gather(
        *(
            system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one", request_id=request_id))
            for request_id in ids
        ),
        return_exceptions=True,
    )
    winners = {request_id for request_id, answer in zip(ids, answers, strict=True) if hasattr(answer, "uid")}
    assert len(winners) == 1
    assert await count(system, "task") == 1


async def test_an_id_belongs_to_one_request(system: GatewaySystem) -> None:
    """Of one agent and one method."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one", request_id="x"))
    other = CreateTaskRequest(task=a_task(), task_id="two", request_id="x")
    refused = await refusal(system.admin.tasks.CreateTask(other))
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one", request_id="x"))
    agent = await system.agent("other", "tasks:write")
    await agent.tasks.CreateTask(other)
    long = RunTaskRequest(name="tasks/one", request_id="x" * 65)
    assert (await refusal(system.admin.tasks.RunTask(long))).fields == ["request_id"]


async def test_failures_are_not_stored(system: GatewaySystem) -> None:
    """The same id may be used to try again."""
    request = RunTaskRequest(name="tasks/one", request_id="again")
    assert (await refusal(system.admin.tasks.RunTask(request))).code == "NOT_FOUND"
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    await system.admin.tasks.RunTask(request)
    assert await count(system, "request_log") == 1


async def test_an_id_is_free_again_after_a_day(system: GatewaySystem) -> None:
    """Whether the old answer was deleted meanwhile or not."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    request = RunTaskRequest(name="tasks/one", request_id="daily")
    first = await system.admin.tasks.RunTask(request)
    async with system.database.connection() as connection:
        await connection.execute("UPDATE request_log SET create_time = create_time - interval '25 hours'")
    second = await system.admin.tasks.RunTask(request)
    assert second.name != first.name
    assert await system.admin.tasks.RunTask(request) == second


async def test_a_copy_waits_for_the_first_request(system: GatewaySystem) -> None:
    """And does the work itself when that one fails."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    async with system.database.connection() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO request_log (project, agent, method, request_id, hash, scopes, create_time)"
            " VALUES ('default', 'admin', 'RunTaskRequest', 'slow', '\\x00', '{}', clock_now())"
        )
        waiting = asyncio.create_task(
            asyncio.wait_for(system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one", request_id="slow")), PATIENCE)
        )
        await _until_blocked(system)
        assert not waiting.done()
        await connection.execute("DELETE FROM request_log")
    assert (await waiting).name


async def _until_blocked(system: GatewaySystem) -> None:
    async with asyncio.timeout(PATIENCE), system.database.connection() as connection:
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.005)  # PostgreSQL does not tell when somebody waits


async def test_all_pages_together_are_complete(system: GatewaySystem) -> None:
    """Each task once, by name, whatever the size; one that asks for too many gets the most there is."""
    names = [f"t{number:02}" for number in range(7)]
    for name in reversed(names):
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=name))
    for size in (1, 3, 7, 10**9):
        request, listed = ListTasksRequest(page_size=size), []
        while True:
            page = await system.admin.tasks.ListTasks(request)
            listed += [task.name for task in page.tasks]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert listed == [f"tasks/{name}" for name in names]


async def test_a_page_token_is_valid_for_its_query(system: GatewaySystem) -> None:
    """Not for another method, filter, agent or project, and not when touched."""
    for name in ("one", "two"):
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=name))
        await system.admin.tasks.RunTask(RunTaskRequest(name=f"tasks/{name}"))
    token = (await system.admin.tasks.ListTasks(ListTasksRequest(page_size=1))).next_page_token
    assert (await system.admin.tasks.ListTasks(ListTasksRequest(page_token=token))).tasks
    agent = await system.agent("reader", "tasks:read")
    elsewhere = await system.project("elsewhere")
    runs = await system.admin.runs.ListRuns(ListRunsRequest(page_size=1))
    touched = ("A" if token[0] != "A" else "B") + token[1:]
    for call in (
        system.admin.agents.ListAgents(ListAgentsRequest(page_token=token)),
        agent.tasks.ListTasks(ListTasksRequest(page_token=token)),
        elsewhere.tasks.ListTasks(ListTasksRequest(page_token=token)),
        system.admin.tasks.ListTasks(ListTasksRequest(page_token=touched)),
        system.admin.tasks.ListTasks(ListTasksRequest(page_token="é")),
        system.admin.runs.ListRuns(ListRunsRequest(page_token=runs.next_page_token, task="tasks/one")),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
    negative = await refusal(system.admin.tasks.ListTasks(ListTasksRequest(page_size=-1)))
    assert negative.fields == ["page_size"]
