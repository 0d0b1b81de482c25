"""A worker that was stopped beyond its lease comes back: nothing that it still believes in is written."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.system_service_pb2 import ListWorkersRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task, working_steps
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE
from tests.sample import FULL

LOOK_SECONDS = 0.05


async def holder(client: Client) -> int:
    """The process id of the worker that holds the run."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.system.ListWorkers(ListWorkersRequest())
            if holding := [worker for worker in answer.workers if worker.leased_runs]:
                return int(holding[0].host.rpartition(":")[2])
            await asyncio.sleep(LOOK_SECONDS)


def said(folder: Path) -> list[dict[str, object]]:
    """What the workers logged."""
    lines = [line for path in (folder / "logs").glob("worker-*.log") for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


async def until_said(folder: Path, event: str, **facts: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(line["event"] == event and facts.items() <= line.items() for line in said(folder)):
            await asyncio.sleep(LOOK_SECONDS)


@pytest.mark.parametrize("fail_point", ["", "hold_self_fence"] if FULL else ["hold_self_fence"])
async def test_its_late_result_is_dropped_or_refused(tmp_path: Path, fail_point: str) -> None:
    """Its own deadline drops the result; where a fail point holds that back, the fence refuses it."""
    folder = tmp_path / "data"
    environment = {"ORDINAUT_FAIL_POINTS": fail_point}
    async with (
        ToolServer() as tool,
        SystemUnderTest(folder, workers=2, environment=environment) as system,
        system.client() as client,
    ):
        await tool.register(client)
        await create_task(client, "work", working_steps(1))
        tool.gate.clear()
        name = await run_task(client, "work")
        async with asyncio.timeout(PATIENCE):
            await tool.called.wait()
        zombie = await holder(client)
        os.kill(zombie, signal.SIGSTOP)
        try:
            tool.gate.set()
            assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
        finally:
            os.kill(zombie, signal.SIGCONT)
        if fail_point:
            await until_said(folder, "lease_lost", stage="completion", run=name.removeprefix("runs/"), fence=1)
        else:
            await until_said(folder, "lease_lost")
        run = await get_run(client, name)
        assert (run.state, run.claims) == (Run.SUCCEEDED, 2)
        assert len(tool.calls) == 2
        assert len(tool.keys()[name, "s0"]) == 1
        assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
