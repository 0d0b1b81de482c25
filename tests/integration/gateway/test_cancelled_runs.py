"""What a run has done before its end is recorded, however it ends: attempts that failed, and attempts in flight."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format

from ordinaut.store.queue import due_work_recover
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import CancelRunRequest, CreateRunRequest, GetRunRequest, RetryRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.support.engine_rig import tool_server
from tests.integration.support.gateway_system import TOKEN, GatewaySystem, finished, gateway_system, working
from tests.patience import PATIENCE
from worker.settings import WorkerSettings
from worker.worker import Worker

EIGHT = {"steps": [{"id": "all", "uses": "slow.get", "with": {"n": "${item}"}, "foreach": list(range(8)),
                    "max_parallel": 8}]}  # fmt: skip
ONE = {"steps": [{"id": "one", "uses": "slow.get", "with": {}}]}
RETRIED = {"steps": [{"id": "one", "uses": "slow.get", "with": {}, "retry": {"max": 50, "delay": "50ms", "factor": 1}}]}


class SlowTool:
    """Does not answer before `open` is set; fails with 503 while `fails`. `calls` is their number."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = 0
        self.open = asyncio.Event()

    async def answer(self, _request: web.Request) -> web.Response:
        self.calls += 1
        if self.calls <= self.fails:
            return web.Response(status=503)
        await self.open.wait()
        return web.json_response({})

    async def until(self, calls: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.calls < calls:
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, egress="127.0.0.0/8") as started:
        yield started


@asynccontextmanager
async def slow_tool(system: GatewaySystem) -> AsyncIterator[SlowTool]:
    tool = SlowTool()
    async with tool_server(tool.answer) as port:
        document = {"name": "tools/slow.get", "effect": "READ", "http": {"url": f"http://127.0.0.1:{port}/"}}
        await system.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(document, Tool())))
        try:
            yield tool
        finally:
            tool.open.set()


async def started(system: GatewaySystem, document: dict[str, Any], **fields: Any) -> str:
    request = json_format.ParseDict({"pipeline": document, **fields}, CreateRunRequest())
    return str((await system.admin.runs.CreateRun(request)).name)


async def cancelled(system: GatewaySystem, name: str) -> Run:
    await system.admin.runs.CancelRun(CancelRunRequest(name=name))
    run = await finished(system.admin, name)
    assert run.state == Run.CANCELLED
    return run


def attempts(run: Run) -> list[tuple[str, int, str]]:
    return [(step.path, step.attempt, StepRun.State.Name(step.state)) for step in run.steps]


async def test_calls_in_flight_are_recorded_as_cancelled(system: GatewaySystem, database_url: str) -> None:
    """With their inputs and times; a retry makes them again with the same keys."""
    async with slow_tool(system) as tool, working(system, database_url):
        name = await started(system, EIGHT)
        await tool.until(8)
        run = await cancelled(system, name)
        calls = [step for step in run.steps if step.tool == "slow.get"]
        assert sorted(step.path for step in calls) == [f"all[{n}]" for n in range(8)]
        assert {step.state for step in calls} == {StepRun.CANCELLED}
        assert {step.input.struct_value["n"] for step in calls} == set(range(8))
        assert all(step.start_time.ToNanoseconds() <= step.end_time.ToNanoseconds() for step in calls)
        tool.open.set()
        again = await finished(system.admin, (await system.admin.runs.RetryRun(RetryRunRequest(name=name))).name)
    assert again.state == Run.SUCCEEDED
    keys = {step.path: step.idempotency_key for step in calls}
    assert {
        step.path: step.idempotency_key for step in again.steps if step.tool == "slow.get" and step.path in keys
    } == keys


async def test_failed_attempts_are_recorded_when_a_run_is_cancelled(system: GatewaySystem, database_url: str) -> None:
    async with slow_tool(system) as tool, working(system, database_url):
        tool.fails = 3
        name = await started(system, RETRIED)
        await tool.until(4)
        run = await cancelled(system, name)
    assert attempts(run) == [("one", n, "FAILED") for n in (1, 2, 3)] + [("one", 4, "CANCELLED")]


async def test_a_failed_attempt_is_recorded_during_the_delay_after_it(system: GatewaySystem, database_url: str) -> None:
    async with slow_tool(system) as tool, working(system, database_url):
        tool.fails = 100
        name = await started(system, {"steps": [{**ONE["steps"][0], "retry": {"max": 5, "delay": "5s", "jitter": 0}}]})
        await until_recorded(system, name)
        run = await cancelled(system, name)
    assert attempts(run) == [("one", 1, "FAILED")]


@pytest.mark.parametrize("in_flight", [True, False])
async def test_attempts_are_recorded_when_the_worker_is_lost_before_the_cancellation(
    system: GatewaySystem, database_url: str, in_flight: bool
) -> None:
    """A call and a failed attempt are written when they are a second old; the live run shows the call as RUNNING."""
    async with slow_tool(system) as tool:
        worker = await lost_worker(system, database_url)
        try:
            tool.fails = 0 if in_flight else 100
            name = await started(
                system, {"steps": [{**ONE["steps"][0], "retry": {"max": 5, "delay": "5s", "jitter": 0}}]}
            )
            await tool.until(1)
            shown = await until_recorded(system, name)
            assert attempts(shown) == [("one", 1, "RUNNING" if in_flight else "FAILED")]
        finally:
            await crash(worker)
        async with system.database.transaction() as connection:
            await connection.execute("DELETE FROM lease")
            await due_work_recover.rescue(connection, 10)
        run = await cancelled(system, name)
    assert attempts(run) == [("one", 1, "CANCELLED" if in_flight else "FAILED")]
    assert run.steps[0].end_time.ToNanoseconds() <= run.end_time.ToNanoseconds()


async def test_a_resumed_run_repeats_a_call_that_a_checkpoint_has_noted(
    system: GatewaySystem, database_url: str
) -> None:
    """With the same attempt number; the end replaces the start."""
    async with slow_tool(system) as tool:
        worker = await lost_worker(system, database_url)
        try:
            name = await started(system, ONE)
            await until_recorded(system, name)
        finally:
            await crash(worker)
        async with system.database.transaction() as connection:
            await connection.execute("DELETE FROM lease")
            await due_work_recover.rescue(connection, 10)
        tool.open.set()
        async with working(system, database_url):
            run = await finished(system.admin, name)
    assert (run.state, attempts(run), tool.calls) == (Run.SUCCEEDED, [("one", 1, "SUCCEEDED")], 2)


async def test_attempts_are_recorded_when_a_run_times_out(system: GatewaySystem, database_url: str) -> None:
    async with slow_tool(system) as tool, working(system, database_url):
        name = await started(system, EIGHT, run_policy={"run_timeout": "1s"})
        run = await finished(system.admin, name)
    assert (run.state, run.error.code, tool.calls) == (Run.FAILED, "TIMEOUT", 8)
    states = [step.state for step in run.steps if step.path.startswith("all[")]
    assert len(states) == 8
    assert set(states) <= {StepRun.FAILED, StepRun.CANCELLED}


async def until_recorded(system: GatewaySystem, name: str) -> Run:
    async with asyncio.timeout(PATIENCE):
        while True:
            run: Run = await system.admin.runs.GetRun(GetRunRequest(name=name))
            if run.steps:
                return run
            await asyncio.sleep(0.05)


async def lost_worker(system: GatewaySystem, database_url: str) -> Worker:
    settings = WorkerSettings(
        database_url=database_url, engine_addresses=f"127.0.0.1:{system.engine_port}", internal_token=TOKEN
    )
    worker = Worker(system.database, settings)
    await worker.start("127.0.0.1:0")
    return worker


async def crash(worker: Worker) -> None:
    """Ends its tasks without draining: its runs are lost."""
    for task in worker._tasks:
        task.cancel()
    await asyncio.gather(*worker._tasks, return_exceptions=True)
