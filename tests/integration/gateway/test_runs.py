"""What a run says of itself, and its steps: paged, waiting, cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.store.hints import Hints
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import CreateAgentTokenRequest
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ListRunStepsRequest,
    RetryRunRequest,
    WatchRunRequest,
)
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest, UpdateTaskRequest
from ordinaut.v1.view_pb2 import BASIC
from scheduler.maintenance.expire_waits import ExpireWaits
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    a_task,
    finished,
    gateway_system,
    refusal,
    working,
)

FAILS: dict[str, Any] = {"id": "a", "uses": "orchestrator.fail", "with": {"code": "SHUT", "message": "no"}}
TIMER: dict[str, Any] = {"id": "late", "uses": "orchestrator.wait", "with": {"for": "1h"}}
NEWS: dict[str, Any] = {"id": "news", "uses": "orchestrator.wait_event", "with": {"topic": "a.b", "timeout": "1h"}}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def inline(*steps: dict[str, Any]) -> CreateRunRequest:
    return json_format.ParseDict({"pipeline": {"steps": list(steps)}}, CreateRunRequest())


async def task(caller: Caller, name: str, **fields: Any) -> Any:
    return await caller.tasks.CreateTask(CreateTaskRequest(task=a_task(**fields), task_id=name))


async def listed(system: GatewaySystem, text: str) -> list[str]:
    return [run.name for run in (await system.admin.runs.ListRuns(ListRunsRequest(filter=text))).runs]


async def until_waiting(system: GatewaySystem, name: str) -> None:
    async with asyncio.timeout(10):
        async for answer in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
            if answer.run.state == Run.WAITING:
                return
    raise AssertionError("it has ended")


@asynccontextmanager
async def expiring(system: GatewaySystem) -> AsyncIterator[None]:
    """The scheduler's loop that ends waits whose time has passed."""
    run_once = ExpireWaits(system.database, Hints(system.database)).run_once

    async def loop() -> None:
        while True:
            await run_once()
            await asyncio.sleep(0.02)

    looping = asyncio.create_task(loop())
    try:
        yield
    finally:
        looping.cancel()
        await asyncio.gather(looping, return_exceptions=True)


async def test_a_run_has_owner_uid_and_labels_of_its_task(system: GatewaySystem) -> None:
    """As they were when it was enqueued; runs are found by them."""
    owner = await system.agent("owner", "tasks:write", "tasks:run", "runs:read", "runs:write")
    made = await task(owner, "one", labels={"team": "mail"})
    run = await owner.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    assert (run.owner, run.task_uid, dict(run.labels), run.losses) == ("agents/owner", made.uid, {"team": "mail"}, 0)
    changed = a_task(labels={"team": "post"})
    changed.name = "tasks/one"
    await owner.tasks.UpdateTask(UpdateTaskRequest(task=changed, update_mask=FieldMask(paths=["labels"])))
    other = await owner.tasks.RunTask(RunTaskRequest(name="tasks/one", start_time=Timestamp(seconds=4 * 10**9)))
    assert dict(other.labels) == {"team": "post"}
    alone = await system.admin.runs.CreateRun(inline(FAILS))
    assert (alone.owner, alone.task_uid, dict(alone.labels)) == ("agents/admin", "", {})
    assert await listed(system, 'labels.team = "mail"') == [run.name]
    assert await listed(system, "labels : team") == [other.name, run.name]
    assert await listed(system, f'task_uid = "{made.uid}" AND owner = "agents/owner"') == [other.name, run.name]
    assert await listed(system, 'task_uid != "x" AND NOT labels : team') == [alone.name]
    assert await listed(system, "losses > 0") == []


async def test_a_run_names_its_retries(system: GatewaySystem, database_url: str) -> None:
    """The oldest first; labels and owner are those of the first run."""
    async with working(system, database_url):
        await task(system.admin, "one", labels={"team": "mail"}, pipeline={"steps": [FAILS]})
        first = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
        assert (await finished(system.admin, first.name)).state == Run.FAILED
        names = []
        for _ in range(2):
            retry = await system.admin.runs.RetryRun(RetryRunRequest(name=first.name))
            assert dict(retry.labels) == {"team": "mail"}
            names.append((await finished(system.admin, retry.name)).name)
    again = await system.admin.runs.GetRun(GetRunRequest(name=first.name))
    assert list(again.retries) == names


@pytest.mark.parametrize("size", [1, 2, 50])
async def test_steps_are_paged(system: GatewaySystem, database_url: str, size: int) -> None:
    """In the order of GetRun; BASIC leaves inputs and outputs out; the token is good for this question alone."""
    steps = [{"id": f"s{number}", "uses": "orchestrator.set", "with": {"n": number}} for number in range(4)]
    async with working(system, database_url):
        run = await finished(system.admin, (await system.admin.runs.CreateRun(inline(*steps, FAILS))).name)
    pages: list[StepRun] = []
    request = ListRunStepsRequest(parent=run.name, page_size=size)
    while True:
        answer = await system.admin.runs.ListRunSteps(request)
        assert len(answer.steps) <= size
        pages.extend(answer.steps)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert pages == list(run.steps)
    basic = (await system.admin.runs.ListRunSteps(ListRunStepsRequest(parent=run.name, view=BASIC))).steps
    assert [step.path for step in basic] == [step.path for step in pages]
    assert not any(step.HasField("input") or step.HasField("output") for step in basic)
    assert basic[-1].error.code == "SHUT"
    if size < 5:
        request.view = BASIC
        assert (await refusal(system.admin.runs.ListRunSteps(request))).fields == ["page_token"]


async def test_steps_that_wait_are_waiting_and_then_cancelled(system: GatewaySystem, database_url: str) -> None:
    """In reads, pages and watches; a step that was cancelled keeps its input."""
    both = {"id": "both", "branches": {"one": [TIMER], "two": [NEWS]}}
    async with working(system, database_url):
        run = await system.admin.runs.CreateRun(inline(both))
        await until_waiting(system, run.name)
        waiting = await system.admin.runs.GetRun(GetRunRequest(name=run.name))
        page = await system.admin.runs.ListRunSteps(ListRunStepsRequest(parent=run.name))
        first = await anext(aiter(system.admin.runs.WatchRun(WatchRunRequest(name=run.name))))
        status = await system.admin.system.GetStatus(GetStatusRequest())
        await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    ended = await system.admin.runs.GetRun(GetRunRequest(name=run.name))
    expected = [("both.one.late", StepRun.WAITING, False), ("both.two.news", StepRun.WAITING, False)]
    for steps in (waiting.steps, page.steps, first.steps):
        assert sorted((step.path, step.state, step.HasField("end_time")) for step in steps) == expected
    assert (status.due_work["WAITING"], status.due_work["BLOCKED"], status.workers) == (1, 0, 1)
    assert ended.state == Run.CANCELLED
    assert {(step.path, step.state) for step in ended.steps} == {
        ("both.one.late", StepRun.CANCELLED),
        ("both.two.news", StepRun.CANCELLED),
    }
    assert all(step.HasField("input") and step.HasField("end_time") for step in ended.steps)


async def test_a_wait_that_a_failing_sibling_cuts_off_is_cancelled(system: GatewaySystem, database_url: str) -> None:
    """The wait is stored; the sibling fails in a later stay of the run. The retry begins both again."""
    soon = {"id": "soon", "uses": "orchestrator.wait", "with": {"for": "10ms"}}
    both = {"id": "both", "branches": {"one": [TIMER], "two": [soon, FAILS]}}
    async with working(system, database_url), expiring(system):
        ended = await finished(system.admin, (await system.admin.runs.CreateRun(inline(both))).name)
        again = await finished(system.admin, (await system.admin.runs.RetryRun(RetryRunRequest(name=ended.name))).name)
    states = {step.path: step.state for step in ended.steps}
    assert (states["both.one.late"], states["both"]) == (StepRun.CANCELLED, StepRun.FAILED)
    assert {step.path: step.state for step in again.steps} == states


async def test_a_task_is_started_with_its_own_scope(system: GatewaySystem) -> None:
    """`tasks:run:<glob>` is bound to the task's id, `tasks:write` does not include it, and a retry needs it too."""
    owner = await system.agent("owner", "tasks:run:mail-*", "tasks:write", "runs:write")
    for name in ("mail-morning", "report"):
        await task(owner, name)
    run = await owner.tasks.RunTask(RunTaskRequest(name="tasks/mail-morning"))
    await owner.runs.CancelRun(CancelRunRequest(name=run.name))
    narrow = AgentToken(scopes=["tasks:write", "runs:write"])
    made = await system.admin.agents.CreateAgentToken(
        CreateAgentTokenRequest(parent="agents/owner", agent_token=narrow)
    )
    writer = system.caller(made.secret)
    for call, lacking in (
        (owner.tasks.RunTask(RunTaskRequest(name="tasks/report")), "tasks:run:report"),
        (writer.tasks.RunTask(RunTaskRequest(name="tasks/mail-morning")), "tasks:run"),
        (writer.runs.RetryRun(RetryRunRequest(name=run.name)), "tasks:run:mail-morning"),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", lacking)
    assert (await owner.runs.RetryRun(RetryRunRequest(name=run.name))).retry_of == run.name
