"""Loops, branches and waits end once, with each effect done exactly once, while workers and engines are killed."""

import asyncio
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.state_service_pb2 import ListStateEntriesRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_many
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE
from tests.sample import FULL

pytestmark = pytest.mark.asyncio(loop_scope="session")
RUNS = 12 if FULL else 5
KILLED = ("worker", "pipeline_engine") * (2 if FULL else 1)
ELEMENTS = 4
DRAIN_SECONDS = 90.0


def work(step_id: str, name: str) -> dict[str, Any]:
    """A call that the tool server remembers under `name`."""
    return {"id": step_id, "uses": "work.step", "retry": 20, "with": {"run": "${run.name}", "step": name}}


def keep(step_id: str, key: str) -> dict[str, Any]:
    """An effect whose repetition its revision would show."""
    entry = {"namespace": "kept", "key": f"${{run.occurrence}}/{key}", "value": "${now}"}
    return {"id": step_id, "uses": "orchestrator.put_state", "with": entry}


PAUSE = {"id": "pause", "uses": "orchestrator.wait", "with": {"for": "6s"}}
PIPELINE = {
    "version": 1,
    "steps": [
        {
            "id": "loop",
            "foreach": [f"e{number}" for number in range(ELEMENTS)],
            "do": [work("w", "${item}"), keep("k", "${item}"), work("again", "${item}-again")],
        },
        {
            "id": "both",
            "branches": {"left": [work("l", "left"), keep("kl", "left")], "right": [PAUSE, work("r", "right")]},
        },
    ],
    "output": {"loop": "${steps.loop[*].done}", "right": "${steps.both.right.done}"},
}
CALLS = {*(f"e{number}{more}" for number in range(ELEMENTS) for more in ("", "-again")), "left", "right"}


async def kill_some(system: SystemUnderTest, tool: ToolServer) -> None:
    """Worker and engine in turn, each with calls under way."""
    for service in KILLED:
        tool.called.clear()
        async with asyncio.timeout(PATIENCE):
            await tool.called.wait()
        await system.kill(service)


async def test_side_by_side_work_survives_kills(mortal_system: SystemUnderTest) -> None:
    async with ToolServer(seconds=0.15) as tool:
        async with mortal_system.client() as client:
            await tool.register(client)
            await create_task(client, "spread", PIPELINE)
            names, _ = await asyncio.gather(run_many(client, "spread", RUNS), kill_some(mortal_system, tool))
            endings = await ended(client, names, DRAIN_SECONDS)
            assert endings == {name: ["succeeded"] for name in names}
            for name in names:
                run = await get_run(client, name)
                assert run.state == Run.SUCCEEDED
                wanted = {"loop": [f"e{number}-again" for number in range(ELEMENTS)], "right": "right"}
                assert MessageToDict(run.output) == wanted
                paths = [step.path for step in run.steps]
                assert len(paths) == len(set(paths)) == 3 * ELEMENTS + 1 + 4 + 1
            kept = await client.state.ListStateEntries(ListStateEntriesRequest(parent="state/kept", page_size=1000))
            assert len(kept.entries) == RUNS * (ELEMENTS + 1)
            assert {entry.revision for entry in kept.entries} == {1}, "each effect was done exactly once"
        keys = tool.keys()
        assert set(keys) == {(name, call) for name in names for call in CALLS}
        assert all(len(some) == 1 for some in keys.values()), "a call repeats only with its own key"
        print(f"{RUNS} runs, {len(tool.calls)} tool calls, {len(tool.calls) - RUNS * len(CALLS)} of them repeated")
