"""Runs that may not overlap take their turns in the order in which they came, whatever is killed meanwhile."""

from itertools import groupby
from pathlib import Path

from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, run_task, working_steps
from tests.acceptance.tool_server import ToolServer

RUNS = 12
KILLED = ("scheduler", "worker", "pipeline_engine", "scheduler", "gateway")


async def test_one_run_after_the_other(tmp_path: Path) -> None:
    """The tool never sees a call of one run between those of another, and every run ends once."""
    policy = {"overlap": {"policy": "BUFFER_ALL"}}
    async with ToolServer(seconds=0.1) as tool, SystemUnderTest(tmp_path / "data", workers=2) as system:
        async with system.client() as client:
            await tool.register(client)
            await create_task(client, "work", working_steps(2), run_policy=policy)
            names = [await run_task(client, "work") for _ in range(RUNS)]
            for service in KILLED:
                await system.kill(service)
            await system.kill_everything()
            await system.start()
        async with system.client() as client:
            assert await ended(client, names, 60) == {name: ["succeeded"] for name in names}
        assert [run for run, _ in groupby(run for run, _, _ in tool.calls)] == names
        assert await system.stop() == 0
