"""No run is lost, none ends twice, and a tool call repeats only with its own key, whatever is killed."""

import asyncio

import pytest

from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_many, working_steps
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE
from tests.sample import amount

pytestmark = pytest.mark.asyncio(loop_scope="session")
RUNS = amount("ORDINAUT_TEST_RUNS", 40, 120)
STEPS = 3
DRAIN_SECONDS = 120.0


async def kill_one_after_another(system: SystemUnderTest, tool: ToolServer) -> None:
    """Each service in turn, then `ordinaut up` itself, always with tool calls under way."""
    for service in ("worker", "pipeline_engine", "scheduler", "gateway"):
        await under_way(tool)
        await system.kill(service)
    await under_way(tool)
    await system.kill_everything()
    await system.start()


async def under_way(tool: ToolServer) -> None:
    tool.called.clear()
    async with asyncio.timeout(PATIENCE):
        await tool.called.wait()


async def test_every_run_ends_once_while_everything_is_killed(mortal_system: SystemUnderTest) -> None:
    async with ToolServer(seconds=0.05) as tool:
        async with mortal_system.client() as client:
            await tool.register(client)
            await create_task(client, "work", working_steps(STEPS))
            names, _ = await asyncio.gather(run_many(client, "work", RUNS), kill_one_after_another(mortal_system, tool))
            endings = await ended(client, names, DRAIN_SECONDS)
            assert endings == {name: ["succeeded"] for name in names}
            for name in names:
                run = await get_run(client, name)
                assert run.state == Run.SUCCEEDED
                assert [(step.path, step.state) for step in run.steps] == [
                    (f"s{step}", StepRun.SUCCEEDED) for step in range(STEPS)
                ]
            status = await client.system.GetStatus(GetStatusRequest())
            assert sum(status.due_work.values()) == 0
        keys = tool.keys()
        assert set(keys) == {(name, f"s{step}") for name in names for step in range(STEPS)}
        assert all(len(some) == 1 for some in keys.values())
        assert len({key for some in keys.values() for key in some}) == RUNS * STEPS
        print(f"{RUNS} runs, {len(tool.calls)} tool calls, {len(tool.calls) - RUNS * STEPS} of them repeated")
