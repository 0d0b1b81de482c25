"""What really ran, executed once more on its journal, asks its tools for the same and comes to the same end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, GetApprovalRequest
from ordinaut.v1.replay_pb2 import StepComparison
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    ReplayRunRequest,
    ReplayRunResponse,
    RetryRunRequest,
    SimulateRunRequest,
)
from ordinaut.v1.task_service_pb2 import RunTaskRequest
from ordinaut.v1.tool_pb2 import Tool
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, publish, run_task, until_waiting
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="session")
QUICK = {"max": 3, "delay": "10ms"}
MOMENTS = {"stamp", "both.time.later", "tell"}
NOTES = {"namespace": "replay", "key": "notes"}


def work(step_id: str, step: str = "", **modifiers: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "uses": "replay.step",
        "with": {"run": "${params.run}", "step": step or step_id},
        "retry": QUICK,
        **modifiers,
    }


def built_in(step_id: str, tool: str, **given: Any) -> dict[str, Any]:
    return {"id": step_id, "uses": f"orchestrator.{tool}", "with": given}


def everything() -> dict[str, Any]:
    """Retries, a loop with a failure, branches that wait, a skipped step, handlers, effects, and moments."""
    moments = built_in("stamp", "set", now="${now}", began="${step.start_time}", key="${step.idempotency_key}")
    event = built_in("heard", "wait_event", topic="replay.go", match={"data.run": "${params.run}"}, timeout="1m")
    return {
        "version": 1,
        "steps": [
            moments,
            work("flaky"),
            {"id": "never", "if": "params.run == 'x'", "uses": "replay.step", "with": {"run": "x", "step": "x"}},
            {
                "id": "loop",
                "foreach": ["one", "bad", "three"],
                "on_error": "continue",
                "do": [work("each", "${item}", retry=0), built_in("note", "set", i="${index}", was="${steps.each}")],
            },
            work("broken", retry=0, on_error=[work("mended"), built_in("why", "set", why="${error.code}")]),
            {
                "id": "both",
                "branches": {
                    "news": [event, work("left", "${steps.heard.data.word}")],
                    "time": [built_in("pause", "wait", **{"for": "300ms"}), {**moments, "id": "later"}, work("right")],
                },
            },
            built_in("seen", "get_state", **NOTES, default=0),
            built_in("count", "put_state", **NOTES, value="${add(steps.seen.value, `1`)}"),
            built_in("tell", "emit", topic="replay.done", data={"at": "${now}", "run": "${run.name}"}),
        ],
        "output": {"seen": "${steps.seen.value}", "loop": "${steps.loop[*].was.done}", "end": "${now}"},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tool() -> AsyncIterator[ToolServer]:
    async with ToolServer(seconds=0.0) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(shared_system: SystemUnderTest, tool: ToolServer) -> AsyncIterator[Client]:
    async with shared_system.client() as connected:
        await tool.register(connected, "replay.step")
        yield connected


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def executed(client: Client, tool: ToolServer) -> Run:
    """A run of everything, once it has ended."""
    tool.refusals = {"flaky": [503, 503], "bad": [400], "broken": [422]}
    await create_task(client, "replayed", everything(), params={"run": "first"})
    name = await run_task(client, "replayed")
    await publish(client, "replay.go", run="first", word="left")
    assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
    return await get_run(client, name)


async def replayed(client: Client, name: str, **fields: Any) -> ReplayRunResponse:
    return await client.runs.ReplayRun(json_format.ParseDict({"name": name, **fields}, ReplayRunRequest()))


def outcomes(replay: ReplayRunResponse) -> dict[str, list[str]]:
    """The paths by outcome."""
    found: dict[str, list[str]] = {}
    for step in replay.steps:
        found.setdefault(StepComparison.Outcome.Name(step.outcome), []).append(step.path)
    return found


def asked(run: Run) -> list[tuple[str, int, int, str]]:
    """Path, attempt, state and input of every attempt, apart from the moments in it."""
    return sorted(
        (step.path, step.attempt, step.state, "" if step.path in MOMENTS else str(step.input)) for step in run.steps
    )


async def test_a_replay_asks_for_the_same_and_ends_the_same(client: Client, tool: ToolServer, executed: Run) -> None:
    """Every attempt, also what was read off the clock; and nobody is called."""
    calls = len(tool.calls)
    replay = await replayed(client, executed.name)
    assert outcomes(replay) == {"SAME": [step.path for step in replay.run.steps]}
    assert (replay.same, replay.end, list(replay.warnings)) == (True, StepComparison.SAME, [])
    assert asked(replay.run) == asked(executed)
    assert [step.attempt for step in executed.steps if step.path == "flaky"] == [1, 2, 3]
    assert {step.path for step in executed.steps if step.state == StepRun.FAILED} == {"flaky", "loop[1].each", "broken"}
    assert (replay.run.output, replay.run.state) == (executed.output, executed.state)
    assert len(tool.calls) == calls


async def test_a_simulation_on_the_recording_takes_the_same_way(client: Client, executed: Run) -> None:
    """At another time: the same paths, attempts and inputs."""
    request = SimulateRunRequest(task="tasks/replayed", recording=executed.name)
    request.start_time.FromJsonString("2031-01-01T00:00:00Z")
    answer = await client.runs.SimulateRun(request)
    assert asked(answer.run) == asked(executed)
    assert not answer.generated
    assert answer.run.end_time.ToJsonString().startswith("2031-01-01T00:0")


async def test_another_document_is_held_against_the_run(client: Client, executed: Run) -> None:
    """What it does otherwise is told step by step, with a patch; what nobody answered stops it."""
    document = everything()
    document["steps"][1] = work("flaky", "steady")
    document["steps"].insert(2, work("fresh"))
    stopped = await replayed(client, executed.name, pipeline=document)
    assert not stopped.same
    assert stopped.run.state == Run.RUNNING
    found = outcomes(stopped)
    assert (found["DIFFERENT"], found["UNANSWERED"], "tell" in found["NOT_REACHED"]) == (["flaky"] * 3, ["fresh"], True)
    patch = json_format.MessageToDict(next(step for step in stopped.steps if step.path == "flaky").difference[0])
    assert patch == {"op": "replace", "path": "/input/step", "value": "steady"}
    mocked = await replayed(client, executed.name, pipeline=document, mocks=[{"step": "fresh", "output": {"done": 1}}])
    found = outcomes(mocked)
    assert (found["DIFFERENT"], found["ADDED"]) == (["flaky"] * 3, ["fresh"])
    assert set(found) == {"SAME", "DIFFERENT", "ADDED"}
    assert (mocked.end, mocked.run.state) == (StepComparison.SAME, Run.SUCCEEDED)


async def test_the_present_version_is_held_against_the_run(client: Client, executed: Run) -> None:
    """As long as nobody has changed the task it is the same."""
    assert (await replayed(client, executed.name, present_version=True)).same


async def test_a_run_that_failed_and_its_retry_are_reproduced(client: Client, tool: ToolServer) -> None:
    """The handlers of the failure; then the retry, which took over what had succeeded."""
    tool.refusals = {"second": [400]}
    steps = [
        work("first"),
        built_in("moment", "set", now="${now}"),
        work("second"),
        work("third", "${steps.moment.now}"),
    ]
    handlers = [built_in("why", "set", error="${error}", now="${now}")]
    await create_task(client, "retried", {"version": 1, "steps": steps, "on_error": handlers}, params={"run": "r"})
    failed = await run_task(client, "retried")
    await ended(client, [failed], PATIENCE)
    replay = await replayed(client, failed)
    assert (replay.same, replay.run.state, replay.run.error.step) == (True, Run.FAILED, "second")
    retry = (await client.runs.RetryRun(RetryRunRequest(name=failed))).name
    await ended(client, [retry], PATIENCE)
    replay = await replayed(client, retry)
    assert replay.same
    assert outcomes(replay) == {"COPIED": ["first", "moment"], "SAME": ["second", "third"]}


async def answer(client: Client, run: str, step: str, **fields: Any) -> None:
    """Answers what a step of a run asks, once it does."""
    waiting = await until_waiting(client, run, step)
    request = {"name": waiting.waits[0].approval, **fields}
    await client.approvals.AnswerApproval(json_format.ParseDict(request, AnswerApprovalRequest()))


async def test_what_people_and_other_runs_said_is_said_again(client: Client, tool: ToolServer) -> None:
    """Answers with edits, a gate before a step, rejections, children that are waited for and such that are not."""
    await create_task(client, "child", {"version": 1, "steps": [work("born")], "output": "${steps.born}"})
    asked = {"message": "Well?", "data": {"word": "a", "at": "${now}"}, "editable": ["/word"], "allow_self": True}
    gate = {"message": "May it?", "editable": ["/step"], "allow_self": True, "expires_in": "1h"}
    params = {"run": "${params.run}"}
    steps = [
        built_in("ask", "request_approval", **asked),
        work("agreed", "${steps.ask.data.word} ${steps.ask.choice} ${now}", needs_approval=gate),
        work("refused", needs_approval=gate, on_error="continue"),
        built_in("child", "run_task", task="child", params=params, wait=True),
        built_in("orphan", "run_task", task="child", params=params),
        work("last", "${steps.child.done} ${steps.agreed.done}"),
    ]
    await create_task(client, "asking", {"version": 1, "steps": steps}, params={"run": "asking"})
    name = await run_task(client, "asking")
    run = await until_waiting(client, name, "ask")
    subject = (await client.approvals.GetApproval(GetApprovalRequest(name=run.waits[0].approval))).subject.input
    edited = {**json_format.MessageToDict(subject), "word": "b"}
    await answer(client, name, "ask", choice="approve", edited_input=edited, comment="as said")
    await answer(client, name, "agreed.approval", choice="approve")
    await answer(client, name, "refused.approval", choice="reject", comment="no")
    assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
    run = await get_run(client, name)
    replay = await replayed(client, name)
    assert outcomes(replay) == {"SAME": [step.path for step in run.steps]}
    assert replay.same
    simulated = await client.runs.SimulateRun(SimulateRunRequest(task="tasks/asking", recording=name))
    assert [(step.path, step.state) for step in simulated.run.steps] == [(step.path, step.state) for step in run.steps]


async def test_an_unsafe_call_that_somebody_had_repeated(client: Client, tool: ToolServer) -> None:
    """The first answer was lost; what the person said is known from what became of the attempt."""
    await tool.register(client, "replay.unsafe", effect=Tool.UNSAFE)
    tool.refusals = {"once": [503]}
    step = {**work("once"), "uses": "replay.unsafe"}
    await create_task(client, "unsafe", {"version": 1, "steps": [step, work("then")]}, params={"run": "u"})
    name = await run_task(client, "unsafe")
    await answer(client, name, "once?attempt-1", choice="repeat", comment="it did not")
    assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
    replay = await replayed(client, name)
    assert outcomes(replay) == {"SAME": ["once", "once", "then"]}
    assert replay.same


async def test_a_run_that_ran_out_of_time(client: Client, tool: ToolServer) -> None:
    """Its time is over in the replay too, at the same step."""
    steps = [work("before"), work("endless"), work("never")]
    policy = {"run_timeout": "3s"}  # the first step ends within it, also on a busy machine
    await create_task(client, "late", {"version": 1, "steps": steps}, params={"run": "l"}, run_policy=policy)
    over = asyncio.Event()

    async def answer_too_late(_run: str, step: str) -> None:
        if step == "endless":
            await over.wait()

    tool.before = answer_too_late
    try:
        name = await run_task(client, "late")
        assert await ended(client, [name], PATIENCE) == {name: ["failed"]}
    finally:
        tool.before = None
        over.set()
    replay = await replayed(client, name)
    assert (replay.same, replay.run.error.code, replay.run.error.step) == (True, "TIMEOUT", "endless")
    assert outcomes(replay) == {"SAME": ["before", "endless"]}


async def test_a_cancelled_run_is_reproduced_as_far_as_it_came(client: Client) -> None:
    """Its end came from outside."""
    steps = [work("before"), built_in("wait", "wait", **{"for": "1h"}), work("after")]
    await create_task(client, "given-up", {"version": 1, "steps": steps}, params={"run": "c"})
    name = await run_task(client, "given-up")
    await until_waiting(client, name, "wait")
    await client.runs.CancelRun(CancelRunRequest(name=name))
    replay = await replayed(client, name)
    assert (replay.same, replay.end) == (True, StepComparison.NOT_REACHED)
    assert outcomes(replay)["SAME"] == ["before"]


async def test_params_make_another_run(client: Client, executed: Run) -> None:
    """Each run is held against its own journal."""
    request = json_format.ParseDict({"name": "tasks/replayed", "params": {"run": "x"}}, RunTaskRequest())
    other = await client.tasks.RunTask(request)
    await publish(client, "replay.go", run="x", word="left")
    assert await ended(client, [other.name], PATIENCE) == {other.name: ["succeeded"]}
    replay = await replayed(client, other.name)
    assert replay.same
    assert "never" in {step.path for step in replay.run.steps if step.state == StepRun.SUCCEEDED}
