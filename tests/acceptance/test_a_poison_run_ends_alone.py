"""A run that takes its engine down ends as LOST_TOO_OFTEN, and the others go on."""

import asyncio
import os
import signal

import pytest

from ordinaut.v1.run_pb2 import Run
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_many, run_task, working_steps
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")
HARMLESS = 20


async def kill_at_each_call(system: SystemUnderTest, tool: ToolServer, poison: str) -> None:
    """As soon as the poison run calls its tool, its engine is gone."""
    seen = 0
    while True:
        await tool.called.wait()
        tool.called.clear()
        calls = sum(run == poison for run, _, _ in tool.calls)
        if calls > seen:
            seen = calls
            for pid in system.pids("pipeline_engine"):
                os.kill(pid, signal.SIGKILL)


async def test_a_run_that_kills_engines_is_isolated_and_ended(mortal_system: SystemUnderTest) -> None:
    async with (
        ToolServer(seconds=0.1) as tool,
        mortal_system.client() as client,
    ):
        await tool.register(client)
        await create_task(client, "work", working_steps(1))
        tool.gate.clear()
        poison = await run_task(client, "work")
        async with asyncio.timeout(PATIENCE):
            await tool.called.wait()
        harmless = await run_many(client, "work", HARMLESS)
        killing = asyncio.create_task(kill_at_each_call(mortal_system, tool, poison))
        tool.gate.set()
        endings = await ended(client, [poison, *harmless], 90)
        killing.cancel()
        assert endings == {poison: ["failed"], **{name: ["succeeded"] for name in harmless}}
        run = await get_run(client, poison)
        assert (run.state, run.error.code) == (Run.FAILED, "LOST_TOO_OFTEN")
        assert len({key for _, _, key in tool.calls if poison.removeprefix("runs/") in key}) == 1
