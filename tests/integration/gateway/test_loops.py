"""`else`, `until`, `tolerate` and long loops, through gateway, worker, engine and database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ReplayRunRequest, RetryRunRequest
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from tests.integration.support.event_loops import event_loops
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, working

DOOR = {"namespace": "door", "key": "open", "default": False}
POLL = {
    "id": "poll",
    "uses": "orchestrator.get_state",
    "with": DOOR,
    "until": "steps.poll.value",
    "every": "100ms",
}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with (
        gateway_system(database_url) as started,
        event_loops(started.database),
        working(started, database_url),
    ):
        yield started


async def ran(system: GatewaySystem, *steps: dict[str, Any], output: Any = None, **params: Any) -> Run:
    document = {"steps": list(steps), "output": output}
    request = json_format.ParseDict({"pipeline": document, "params": params}, CreateRunRequest())
    return await finished(system.admin, (await system.admin.runs.CreateRun(request)).name)


async def retried(system: GatewaySystem, run: Run) -> Run:
    return await finished(system.admin, (await system.admin.runs.RetryRun(RetryRunRequest(name=run.name))).name)


async def is_replayed(system: GatewaySystem, run: Run) -> bool:
    return bool((await system.admin.runs.ReplayRun(ReplayRunRequest(name=run.name))).same)


def paths(run: Run) -> list[str]:
    return [step.path for step in run.steps]


async def test_a_loop_polls_and_a_retry_polls_on(system: GatewaySystem) -> None:
    """The rounds and waits of both runs are in their journals, and replays of both are the same."""
    run = await ran(system, {**POLL, "max_rounds": 2}, output="${steps.poll.revision}")
    assert (run.state, run.error.code, run.error.step) == (Run.FAILED, "TIMEOUT", "poll")
    assert json_format.MessageToDict(run.error.details)["rounds"] == 2
    assert paths(run) == ["poll[0]", "poll.every[0]", "poll[1]", "poll.until[2]", "poll"]
    entry = json_format.ParseDict({"name": "state/door/open", "value": True}, StateEntry())
    await system.admin.state.PutStateEntry(PutStateEntryRequest(entry=entry))
    again = await retried(system, run)
    assert (again.state, again.output.number_value) == (Run.SUCCEEDED, 1.0)
    assert paths(again) == ["poll[0]", "poll.every[0]", "poll[1]", "poll.until[2]", "poll[2]", "poll"]
    assert [await is_replayed(system, one) for one in (run, again)] == [True, True]


async def test_a_timeout_includes_the_waits(system: GatewaySystem) -> None:
    run = await ran(system, {**POLL, "every": "200ms", "timeout": "500ms"})
    assert (run.state, run.error.code) == (Run.FAILED, "TIMEOUT")
    took = run.steps[-1].end_time.ToMicroseconds() - run.steps[0].start_time.ToMicroseconds()
    assert took >= 500_000
    assert paths(run)[0] == "poll.until[0]"
    assert await is_replayed(system, run)
    again = await retried(system, run)
    assert again.error.code == "TIMEOUT"
    assert len(paths(again)) > len(paths(run))
    assert await is_replayed(system, again)


async def test_an_alternative_with_a_wait(system: GatewaySystem) -> None:
    """The decision is not made again."""
    nap = {"id": "nap", "uses": "orchestrator.wait", "with": {"for": "50ms"}}
    other = {"id": "other", "uses": "orchestrator.set", "with": {"n": 2}}
    step = {"id": "a", "if": "params.x", "uses": "orchestrator.set", "with": {"n": 1}, "else": [nap, other]}
    run = await ran(system, step, output="${steps.a.n}", x=False)
    assert (run.state, run.output.number_value) == (Run.SUCCEEDED, 2.0)
    assert paths(run) == ["a", "a.else.nap", "a.else.other"]
    assert await is_replayed(system, run)


async def test_a_long_loop_with_failures_and_a_wait_in_the_middle(system: GatewaySystem) -> None:
    """Chunks are recorded, iterations are not repeated by the resumed run, and a retry repeats what has failed."""
    fails = {
        "id": "fails",
        "if": "index == to_number('7') || index == to_number('1100')",
        "uses": "orchestrator.fail",
        "with": {"code": "NO", "message": "m"},
    }
    nap = {
        "id": "nap",
        "if": "index == to_number('1050')",
        "uses": "orchestrator.wait",
        "with": {"for": "100ms"},
    }
    last = {"id": "last", "uses": "orchestrator.set", "with": {"i": "${index}"}}
    loop = {"id": "f", "foreach": "params.many", "tolerate": 1, "do": [fails, nap, last]}
    run = await ran(system, loop, output="${length(steps.f)}", many=[0] * 1200)
    assert (run.state, run.error.code, run.error.step) == (Run.FAILED, "NO", "f[1100].fails")
    assert json_format.MessageToDict(run.error.details) == {"failed_iterations": 2}
    more = await ran(system, {**loop, "tolerate": "0.2%"}, output="${length(steps.f[?!error])}", many=[0] * 1200)
    assert (more.state, more.output.number_value) == (Run.SUCCEEDED, 1198.0)
    assert paths(more).count("f.chunk[0]") == 1
    assert len(set(paths(more))) == len(paths(more))
    again = await retried(system, run)
    assert (again.error.step, again.error.code) == ("f[1100].fails", "NO")
