"""A loop over more elements than a chunk, whose engine and worker are killed in the middle."""

import asyncio
from collections import Counter

import pytest

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.view_pb2 import BASIC
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, run_task
from tests.acceptance.tool_server import ToolServer

pytestmark = pytest.mark.asyncio(loop_scope="session")
ELEMENTS = 1500
PARALLEL = 20
KILLS = {700: "pipeline_engine", 1300: "worker"}
"""The victim by the number of the call at which it is killed."""
END_SECONDS = 150.0
PIPELINE = {
    "version": 1,
    "steps": [
        {
            "id": "each",
            "foreach": "params.all",
            "max_parallel": PARALLEL,
            "tolerate": "0%",
            "uses": "work.step",
            "retry": 20,
            "with": {"run": "${run.name}", "step": "${to_string(index)}"},
        }
    ],
    "output": {"last": "${steps.each[-1].done}", "count": "${length(steps.each)}"},
}


async def test_finished_iterations_are_not_called_again(mortal_system: SystemUnderTest) -> None:
    """Except those that were not recorded yet: at most twice `max_parallel` for each kill; all with their keys."""
    async with ToolServer() as tool, mortal_system.client() as client:
        await tool.register(client)
        fields = {"params": {"all": list(range(ELEMENTS))}, "run_policy": {"max_losses": 100}}
        await create_task(client, "long", PIPELINE, **fields)
        kills: dict[int, asyncio.Task[None]] = {}

        async def kill(_run: str, _step: str) -> None:
            number = len(tool.calls)
            if number >= min(set(KILLS) - set(kills), default=number + 1):
                due = min(set(KILLS) - set(kills))
                kills[due] = asyncio.create_task(mortal_system.kill(KILLS[due]))

        tool.before = kill
        name = await run_task(client, "long")
        assert await ended(client, [name], END_SECONDS) == {name: ["succeeded"]}
        await asyncio.gather(*kills.values())
        assert set(kills) == set(KILLS)
        run = await client.runs.GetRun(GetRunRequest(name=name, view=BASIC))
        assert run.state == Run.SUCCEEDED
        calls = Counter(step for _, step, _ in tool.calls)
        assert set(calls) == {str(number) for number in range(ELEMENTS)}
        repeated = sum(calls.values()) - ELEMENTS
        print(f"{repeated} of {ELEMENTS} calls were repeated after {len(kills)} kills")
        assert repeated <= 2 * PARALLEL * len(kills)
        assert all(len(keys) == 1 for keys in tool.keys().values())
