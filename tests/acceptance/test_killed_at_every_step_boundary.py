"""One pipeline of everything ends the same, whatever is killed at whichever boundary between two of its steps.

The suite kills at every third boundary, another victim each time; `make test-full` at each.
"""

import asyncio
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from google.protobuf.json_format import MessageToDict

from ordinaut.client import Client
from ordinaut.client.retry import RetryPolicy, with_retries
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, ListApprovalsRequest
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import ReplayRunRequest
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, publish, run_task, until_waiting
from tests.acceptance.tool_server import ToolServer
from tests.sample import FULL

pytestmark = pytest.mark.asyncio(loop_scope="session")
VICTIMS = ("worker", "pipeline_engine", "scheduler", "gateway", "postgres")
# Every run meets one row of victims, boundary by boundary; on request there is a run for each victim alone.
PLANS: Sequence[Sequence[str]] = (
    [[victim] for victim in VICTIMS] if os.environ.get("ORDINAUT_TEST_EVERY_VICTIM") else [VICTIMS]
)
EVERY = 1 if FULL else 3
END_SECONDS = 120.0


def work(step_id: str, name: str = "") -> dict[str, Any]:
    """A call that the tool server remembers under `name`."""
    return {"id": step_id, "uses": "work.step", "retry": 20, "with": {"run": "${run.name}", "step": name or step_id}}


QUESTION = {"message": "Shall it end?", "data": {"run": "${run.name}"}, "expires_in": "10m", "allow_self": True}
ORDER = {"topic": "order.done", "match": {"data.run": "${run.name}"}, "timeout": "10m"}
PIPELINE = {
    "version": 1,
    "steps": [
        work("begin"),
        {
            **work("poll", "${steps.poll && 'second' || 'first'}"),
            "until": "steps.poll.done == 'second'",
            "every": "200ms",
        },
        {
            "id": "loop",
            "foreach": ["x", "y"],
            "max_parallel": 2,
            "do": [work("fetch", "fetch-${item}"), work("keep", "keep-${item}")],
        },
        {
            "id": "both",
            "branches": {
                "order": [{"id": "reply", "uses": "orchestrator.wait_event", "with": ORDER}, work("left")],
                "time": [{"id": "pause", "uses": "orchestrator.wait", "with": {"for": "1s"}}, work("right")],
            },
        },
        {"id": "ok", "uses": "orchestrator.request_approval", "with": QUESTION},
        {"id": "no", "if": "steps.ok.status != 'approved'", "uses": "orchestrator.set", "else": [work("end")]},
    ],
    "output": {"kept": "${steps.loop[*].done}", "left": "${steps.both.order.done}", "end": "${steps.end.done}"},
}
OUTPUT = {"kept": ["keep-x", "keep-y"], "left": "left", "end": "end"}
STEPS = {
    "begin", "poll[0]", "poll.every[0]", "poll[1]", "poll",
    "loop[0].fetch", "loop[0].keep", "loop[1].fetch", "loop[1].keep", "loop",
    "both.order.reply", "both.order.left", "both.time.pause", "both.time.right", "both", "ok", "no", "no.else.end",
}  # fmt: skip
# Behind a call of the second, the first is journaled and must not be called any more.
THEN = (
    ("begin", "first"), ("first", "second"), ("second", "fetch-x"), ("second", "fetch-y"),
    ("fetch-x", "keep-x"), ("fetch-y", "keep-y"), ("keep-x", "left"),
    ("keep-y", "left"), ("keep-x", "right"), ("keep-y", "right"), ("left", "end"), ("right", "end"),
)  # fmt: skip
CALLED = {step for pair in THEN for step in pair}


@dataclass
class Killer:
    """Kills the next victim the first time that a boundary is met, at each or at each third; one at a time."""

    system: SystemUnderTest
    victims: Sequence[str]
    first: int = 0
    met: set[str] = field(default_factory=set)
    killed: list[tuple[str, str]] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def at(self, boundary: str) -> None:
        if boundary in self.met:
            return
        self.met.add(boundary)
        if len(self.met) % EVERY != self.first % EVERY:
            return
        async with self.turn:
            victim = self.victims[(self.first * 2 + len(self.killed)) % len(self.victims)]
            self.killed.append((boundary, victim))
            await self.system.kill(victim)

    async def at_call(self, _run: str, step: str) -> None:
        await self.at(step)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_outcome_is_the_same(mortal_system: SystemUnderTest, moment: Literal["before", "after"]) -> None:
    """`before`: a call is under way, what stands before it is journaled. `after`: it has just been answered."""
    async with ToolServer() as tool, mortal_system.client() as client:
        await tool.register(client)
        await create_task(client, "all", PIPELINE, run_policy={"max_losses": 100})
        for victims in PLANS:
            killer = Killer(mortal_system, victims, ("before", "after").index(moment))
            setattr(tool, moment, killer.at_call)
            name = await run_task(client, "all")
            await publish_order(client, name, killer)
            await approve(client, name, killer)
            assert await ended(client, [name], END_SECONDS) == {name: ["succeeded"]}
            async with killer.turn:
                assert_all_done(await get_run(client, name), tool)
                replay = await client.runs.ReplayRun(ReplayRunRequest(name=name))
                assert replay.same, replay.steps
            assert killer.met == CALLED | {"order", "approval"}
            assert len(killer.killed) >= len(killer.met) // EVERY
            print(f"{moment}: killed {', '.join(f'{victim} at {boundary}' for boundary, victim in killer.killed)}")


async def publish_order(client: Client, name: str, killer: Killer) -> None:
    """What the run waits for comes once something has been killed while it waits."""
    await until_waiting(client, name, "both.order.reply")
    await killer.at("order")
    await publish(client, "order.done", run=name)


async def approve(client: Client, name: str, killer: Killer) -> None:
    """Somebody says yes once something has been killed while the run waits for it."""
    await until_waiting(client, name, "ok")
    await killer.at("approval")
    asked = await with_retries(lambda: client.approvals.ListApprovals(ListApprovalsRequest(run=name)), RetryPolicy())
    [approval] = asked.approvals
    answer = AnswerApprovalRequest(name=approval.name, choice=approval.choices[0], request_id=str(uuid.uuid4()))
    await with_retries(lambda: client.approvals.AnswerApproval(answer), RetryPolicy())


def assert_all_done(run: Run, tool: ToolServer) -> None:
    assert run.state == Run.SUCCEEDED
    assert MessageToDict(run.output) == OUTPUT
    assert {step.path: step.state for step in run.steps} == {
        **dict.fromkeys(STEPS, StepRun.SUCCEEDED),
        "no": StepRun.SKIPPED,
    }
    assert len(run.steps) == len(STEPS), "no step is in the journal twice"
    calls = [step for called_by, step, _ in tool.calls if called_by == run.name]
    assert set(calls) == CALLED
    for first, second in THEN:
        last = len(calls) - 1 - calls[::-1].index(first)
        assert last < calls.index(second), f"{first} was called again behind {second}: {calls}"
    assert all(len(keys) == 1 for (called_by, _), keys in tool.keys().items() if called_by == run.name)
