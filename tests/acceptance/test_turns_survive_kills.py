"""Runs that may not overlap take their turns in the order in which they came, whatever is killed meanwhile."""

from itertools import groupby
from pathlib import Path

from ordinaut.client import Client
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, run_task, working_steps
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

RUNS = 8
KILLED = ("scheduler", "worker", "pipeline_engine")


async def test_one_run_after_the_other(tmp_path: Path) -> None:
    """The tool never sees a call of one run between those of another, and every run ends once."""
    policy = {"overlap": {"policy": "BUFFER_ALL"}}
    async with ToolServer(seconds=0.1) as tool, SystemUnderTest(tmp_path / "data", workers=2) as system:
        async with system.client() as client:
            await tool.register(client)
            await create_task(client, "work", working_steps(2), run_policy=policy)
            await newest_wins(client, tool)
            tool.calls.clear()
            names = [await run_task(client, "work") for _ in range(RUNS)]
            for service in KILLED:
                await system.kill(service)
            await system.kill_everything()
            await system.start()
        async with system.client() as client:
            assert await ended(client, names, PATIENCE) == {name: ["succeeded"] for name in names}
        assert [run for run, _ in groupby(run for run, _, _ in tool.calls)] == names
        assert await system.stop() == 0


async def newest_wins(client: Client, tool: ToolServer) -> None:
    """With CANCEL_OTHER a run that a worker holds ends for the newest one, and so do those between them."""
    await create_task(client, "newest", working_steps(1), run_policy={"overlap": {"policy": "CANCEL_OTHER"}})
    tool.gate.clear()
    first = await run_task(client, "newest")
    await tool.called.wait()
    *others, newest = [await run_task(client, "newest") for _ in range(3)]
    older = [first, *others]
    assert await ended(client, older, PATIENCE) == {name: ["cancelled"] for name in older}
    tool.gate.set()
    assert await ended(client, [newest], PATIENCE) == {newest: ["succeeded"]}
