"""Runs that wait for events, with everything real: no event since the run was created is forgotten."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, ListApprovalsRequest
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, ListEventsRequest, PublishEventRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, GetRunRequest, ReplayRunRequest, RetryRunRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.integration.support.event_loops import event_loops
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, working
from tests.patience import PATIENCE

SKEWED_CLOCK = """
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp() + interval '{seconds} seconds';
END $$;
"""


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started, event_loops(started.database):
        yield started


def listen(name: str, topic: str, timeout: str = "20s", **modifiers: Any) -> dict[str, Any]:
    given = {"topic": topic, "timeout": timeout, **modifiers.pop("given", {})}
    return {"id": name, "uses": "orchestrator.wait_event", "with": given, **modifiers}


def pause(name: str, duration: str) -> dict[str, Any]:
    return {"id": name, "uses": "orchestrator.wait", "with": {"for": duration}}


async def created(system: GatewaySystem, *steps: dict[str, Any], output: Any = None, **fields: Any) -> str:
    document = {"steps": list(steps), **({} if output is None else {"output": output})}
    request = json_format.ParseDict({"pipeline": document, **fields}, CreateRunRequest())
    run: Run = await system.admin.runs.CreateRun(request)
    return run.name


def publication(topic: str, **data: Any) -> PublishEventRequest:
    return json_format.ParseDict({"event": {"topic": topic, "data": data}}, PublishEventRequest())


async def publish(system: GatewaySystem, topic: str, **data: Any) -> None:
    await system.admin.events.PublishEvent(publication(topic, **data))


async def until_numbered(system: GatewaySystem, topic: str) -> None:
    """An event of the topic is in the log: what is created now does not see it."""
    async with asyncio.timeout(PATIENCE):
        while not (await system.admin.events.ListEvents(ListEventsRequest(topic=topic))).events:
            await asyncio.sleep(0.05)


async def until_waiting(system: GatewaySystem, name: str, *steps: str) -> Run:
    """The run once it waits for exactly these steps."""
    async with asyncio.timeout(20):
        while True:
            run: Run = await system.admin.runs.GetRun(GetRunRequest(name=name))
            assert run.state not in {Run.FAILED, Run.SUCCEEDED}, run.error
            if run.state == Run.WAITING and sorted(wait.step for wait in run.waits) == sorted(steps):
                return run
            await asyncio.sleep(0.02)


async def output(system: GatewaySystem, name: str) -> Any:
    run = await finished(system.admin, name)
    assert run.state == Run.SUCCEEDED, run.error
    return json_format.MessageToDict(run.output)


async def is_replayed(system: GatewaySystem, *names: str) -> bool:
    """Whether replays of these runs give what is in their journals."""
    replays = [await system.admin.runs.ReplayRun(ReplayRunRequest(name=name)) for name in names]
    return all(replay.same and not replay.warnings for replay in replays)


async def turn_clock(system: GatewaySystem, seconds: int) -> None:
    async with system.database.connection() as connection:
        await connection.execute(SKEWED_CLOCK.format(seconds=seconds))


async def test_events_that_come_while_the_run_waits_for_something_else(
    system: GatewaySystem, database_url: str
) -> None:
    """For a time, for an answer, for another event, for an event that never comes, for a child."""
    child = a_task(pipeline={"steps": [listen("go", "child.go")]}, params={})
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=child, task_id="child"))
    ask = {"id": "w", "uses": "orchestrator.request_approval", "with": {"message": "?", "allow_self": True}}
    run_child = {"id": "w", "uses": "orchestrator.run_task", "with": {"task": "tasks/child", "wait": True}}
    before = {
        "timer": pause("w", "1s"),
        "answer": ask,
        "event": listen("w", "other.event"),
        "timeout": listen("w", "other.timeout", "1s", on_error="continue"),
        "child": run_child,
    }
    async with working(system, database_url):
        runs = {
            kind: await created(system, step, listen("x", f"for.{kind}"), output="${steps.x.data.n}")
            for kind, step in before.items()
        }
        await asyncio.gather(*(until_waiting(system, run, "w") for run in runs.values()))
        for kind in before:
            await publish(system, f"for.{kind}", n=1)
            await publish(system, f"for.{kind}", n=2)
        await publish(system, "other.event")
        await publish(system, "child.go")
        [approval] = (await system.admin.approvals.ListApprovals(ListApprovalsRequest())).approvals
        await system.admin.approvals.AnswerApproval(AnswerApprovalRequest(name=approval.name, choice="approve"))
        assert {kind: await output(system, run) for kind, run in runs.items()} == dict.fromkeys(before, 1)


async def test_events_between_the_creation_and_the_first_claim(system: GatewaySystem, database_url: str) -> None:
    """In one batch, with one time; those from before the run do not count. Each line of steps takes each once."""
    await publish(system, "a", n=0)
    two = [listen("x", "a"), listen("y", "a")]
    values = "${[steps.x.data.n, steps.y.data.n]}"
    line = await created(system, *two, output=values)
    match = {"match": {"data.n": "${item}"}}
    loop = {"id": "l", "foreach": [3, 2, 1], "max_parallel": 1, **listen("l", "a", given=match)}
    serial = await created(system, loop, output="${steps.l[*].data.n}")
    fork = {"id": "b", "branches": {"left": two, "right": [listen("z", "a")]}}
    branches = await created(
        system, fork, listen("next", "a"), output="${[steps.b.left.data.n, steps.b.right.data.n, steps.next.data.n]}"
    )
    wide = {"id": "l", "foreach": [1, 2], "max_parallel": 2, "do": two}
    parallel = await created(system, wide, output="${steps.l[*].data.n}")
    requests = [publication("a", n=n) for n in (1, 2, 3)]
    await system.admin.events.BatchPublishEvents(BatchPublishEventsRequest(requests=requests))
    async with working(system, database_url):
        assert await output(system, line) == [1, 2]
        assert await output(system, serial) == [3, 2, 1]
        assert await output(system, branches) == [2, 1, 3]
        assert await output(system, parallel) == [2, 2]
    assert await is_replayed(system, line, serial, branches, parallel)


@pytest.mark.parametrize("seconds", [-20, 20])
async def test_a_clock_that_was_wrong_at_creation(system: GatewaySystem, database_url: str, seconds: int) -> None:
    await turn_clock(system, seconds)
    run = await created(system, pause("p", "1ms"), listen("x", "a", "15s"), output="${steps.x.data.n}")
    await turn_clock(system, 0)
    await publish(system, "a", n=1)
    async with working(system, database_url):
        assert await output(system, run) == 1


async def test_a_retry_sees_what_its_first_run_has_not_taken(system: GatewaySystem, database_url: str) -> None:
    """An answer that came after the failure of the run, and before it; what was copied is not seen again."""
    steps = [
        listen("first", "a"),
        {"id": "both", "branches": {"b": [listen("in", "b")]}},
        listen("second", "a", "1s"),
        listen("late", "b", "5s"),
    ]
    async with working(system, database_url):
        run = await created(system, *steps, output="${[steps.first.data.n, steps.second.data.n, steps.late.data.n]}")
        for topic, n in (("a", 1), ("b", 1), ("b", 2)):
            await publish(system, topic, n=n)
        failed = await finished(system.admin, run)
        assert (failed.state, failed.error.code, failed.error.step) == (Run.FAILED, "TIMEOUT", "second")
        again = await system.admin.runs.RetryRun(RetryRunRequest(name=run))
        failed = await finished(system.admin, again.name)
        assert (failed.error.code, failed.error.step) == ("TIMEOUT", "second")
        await publish(system, "a", n=2)
        third = await system.admin.runs.RetryRun(RetryRunRequest(name=again.name))
        assert await output(system, third.name) == [1, 2, 2]
    assert await is_replayed(system, run, again.name, third.name)


async def test_a_worker_that_stops_between_loses_no_event(system: GatewaySystem, database_url: str) -> None:
    """While it is away events come, and the blocks that have ended are recalled."""
    fork = {"id": "b", "branches": {"left": [listen("x", "a")], "right": [listen("y", "b")]}}
    values = "${[steps.b.left.data.n, steps.go.data.n, steps.z.data.n]}"
    async with working(system, database_url):
        run = await created(system, fork, listen("go", "go"), listen("z", "a"), output=values)
        await publish(system, "b")
        await until_waiting(system, run, "b.left.x")
        await publish(system, "a", n=1)
        await until_waiting(system, run, "go")
    await publish(system, "a", n=2)
    await publish(system, "go", n=3)
    async with working(system, database_url):
        assert await output(system, run) == [1, 3, 2]


async def test_a_handler_waits_for_what_came_before_the_failure(system: GatewaySystem, database_url: str) -> None:
    handled = {**listen("x", "never", "1s"), "on_error": [listen("h", "a")]}
    async with working(system, database_url):
        run = await created(system, handled, listen("y", "a"))
        await until_waiting(system, run, "x")
        await publish(system, "a", n=1)
        await publish(system, "a", n=2)
        ended = await finished(system.admin, run)
    taken = {step.path: json_format.MessageToDict(step.output)["data"]["n"] for step in ended.steps if step.path != "x"}
    assert (ended.state, taken) == (Run.SUCCEEDED, {"x.on_error.h": 1, "y": 2})


async def test_lifecycle_events_that_came_before_the_wait(system: GatewaySystem, database_url: str) -> None:
    """A run starts another one without waiting, and waits for its end later."""
    task = a_task(pipeline={"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}, params={})
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="quick"))
    async with working(system, database_url):
        earlier = (await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/quick"))).name
        await finished(system.admin, earlier)
        await until_numbered(system, "ordinaut.run.succeeded")
        start = {"id": "c", "uses": "orchestrator.run_task", "with": {"task": "tasks/quick"}}
        ends = {"match": {"subject": "tasks/quick"}}
        steps = [start, pause("p", "1s"), listen("x", "ordinaut.run.succeeded", given=ends)]
        run = await created(system, *steps, output="${[steps.c.run, steps.x.source]}")
        child, source = await output(system, run)
        assert source == child
