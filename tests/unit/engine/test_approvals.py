"""Approvals: their requests, their answers, and that exactly the approved input is used."""

import hashlib
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output, Suspended
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.test_broken_documents_are_repaired import apply
from tests.unit.engine.world import World, error_of, failing

LIST = "calendar.list_events"
ASK = "orchestrator.request_approval"
REJECTED = {"status": "rejected", "choice": "reject", "comment": "not today"}
EXPIRED = {"status": "expired", "choice": None, "agent": None}


def ask(name: str = "ask", **question: Any) -> dict[str, Any]:
    return step(name, ASK, input={"message": "Sure?", "expires_in": "1h", **question})


def guarded(asked: Any = True, **modifiers: Any) -> dict[str, Any]:
    """Returns a call with `now` that needs approval."""
    return step("a", LIST, **{"input": {"start": "${now}"}, "needs_approval": asked, **modifiers})


def suspended(world: World) -> Suspended:
    ending = world.segment()
    assert isinstance(ending, Suspended)
    return ending


def test_an_approval_request_contains_the_steps_input() -> None:
    """The subject hash covers the canonical JSON of the data."""
    world = World(pipeline(ask(data={"b": [1, "ä"], "a": "${params.x}"}, assignees=["boss"])), params={"x": 2})
    [wait] = suspended(world).waits
    assert (wait.kind, wait.path, wait.tool, wait.guarded_tool) == ("APPROVAL", "ask", ASK, "")
    assert wait.deadline_ms == 3_600_000
    assert orjson.loads(wait.input)["data"] == {"a": 2, "b": [1, "ä"]}
    assert wait.subject_hash == hashlib.sha256('{"a":2,"b":[1,"ä"]}'.encode()).hexdigest()


def test_an_approval_without_expiry_has_no_deadline() -> None:
    [wait] = suspended(World(pipeline(step("ask", ASK, input={"message": "Sure?"})))).waits
    assert not wait.HasField("deadline_ms")
    assert checked(pipeline(step("ask", ASK, input={"message": "Sure?"}))).warnings
    assert not checked(pipeline(ask())).warnings


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({}, ["approved", "approve", None, {"n": 1}, "agents/boss"]),
        ({"edited_input": {"n": 2}, "input": 5}, ["approved", "approve", 5, {"n": 2}, "agents/boss"]),
        ({"edited_input": None}, ["approved", "approve", None, None, "agents/boss"]),
        (REJECTED, ["rejected", "reject", None, {"n": 1}, "agents/boss"]),
        (EXPIRED, ["expired", None, None, {"n": 1}, None]),
    ],
)
def test_the_answer_of_an_approval_is_the_steps_output(reply: dict[str, Any], expected: list[Any]) -> None:
    """A rejection is an output too; the pipeline decides what it means."""
    names = ("status", "choice", "input", "data", "agent")
    output = [f"${{steps.ask.{name}}}" for name in names]
    world = World(pipeline(ask(data={"n": 1}), output=output), reply=reply)
    assert orjson.loads(world.run().output) == expected
    assert world.states() == [("ask", 1, "SUCCEEDED")]


def test_an_invalid_answer_schema_is_rejected() -> None:
    error = error_of(World(pipeline(ask(answer_schema={"type": "strin"}))).run())
    assert (error["code"], error["pointer"]) == ("VALIDATION_INPUT", "/answer_schema/type")


def test_a_literal_answer_schema_is_checked_at_validation() -> None:
    [violation] = checked(pipeline(ask(answer_schema={"properties": {"n": {"type": "strin"}}}))).violations
    assert violation.field == "steps[0].with.answer_schema.properties.n.type"
    assert not checked(pipeline(ask(answer_schema={"const": "${params.x}"}))).violations


def test_the_tool_gets_the_input_that_was_approved() -> None:
    """`now` differs after the wait; the call keeps the old value and the condition is not evaluated again."""
    seen: list[str] = []

    def answer(call: Call) -> Output:
        seen.append(call.input["start"])
        return Output({"events": []})

    condition = "now < '2027-01-15T08:30:00Z'"
    world = World(pipeline(guarded({"expires_in": "1h"}, condition=condition), output="${now}"), answer=answer)
    [wait] = suspended(World(world.document)).waits
    assert (wait.path, wait.guarded_tool, wait.tool) == ("a.approval", LIST, ASK)
    assert orjson.loads(wait.input) == {
        "message": f"May a call {LIST}?", "expires_in": "1h", "data": {"start": "2027-01-15T08:00:00Z"}
    }  # fmt: skip
    assert world.run().output == b'"2027-01-15T09:00:00Z"'
    assert seen == ["2027-01-15T08:00:00Z"]
    assert world.states() == [("a.approval", 1, "SUCCEEDED"), ("a", 1, "SUCCEEDED")]


def test_an_edited_input_is_used_and_validated() -> None:
    world = World(pipeline(guarded()), reply={"edited_input": {"start": "x", "limit": 3}})
    assert world.run().state == "SUCCEEDED"
    assert world.calls[0].input == {"start": "x", "limit": 3}
    assert world.calls[0].body == b'{"start":"x","limit":3}'
    world = World(pipeline(guarded()), reply={"edited_input": {"start": "x", "limit": 0}})
    error = error_of(world.run())
    assert (error["code"], error["pointer"], error["step"]) == ("VALIDATION_INPUT", "/limit", "a")
    assert not world.calls


@pytest.mark.parametrize(("reply", "status"), [(REJECTED, "rejected"), (EXPIRED, "expired")])
def test_a_rejected_or_expired_approval_fails_the_step(reply: dict[str, Any], status: str) -> None:
    """The step is not retried; `on_error` handles the failure."""
    world = World(pipeline(guarded(retry={"max": 3, "codes": ["REJECTED"]})), reply=reply)
    error = error_of(world.run())
    assert (error["code"], error["step"], error["tool"]) == ("REJECTED", "a", LIST)
    assert error["details"]["status"] == status
    assert world.states() == [("a.approval", 1, "FAILED")]
    assert len(world.stays) == 1
    handled = guarded(on_error=[step("h", input={"code": "${error.code}"})])
    assert World(pipeline(handled, output="${steps.h.code}"), reply=reply).run().output == b'"REJECTED"'


def test_one_approval_covers_all_attempts() -> None:
    """Also after a delay that leaves the engine, while another wait is open."""
    pause = {"id": "p", "uses": "orchestrator.wait", "with": {"for": "9h"}}
    both = {"id": "both", "branches": {"x": [guarded(retry={"max": 2, "delay": "1m"})], "y": [pause]}}
    world = World(pipeline(both), answer=failing(2))
    assert world.run().state == "SUCCEEDED"
    assert len({call.body for call in world.calls}) == 1
    assert len(world.calls) == 3
    assert [path for path, _, _ in world.states()].count("both.x.a.approval") == 1


def test_each_iteration_requests_its_own_approval() -> None:
    loop = guarded({"message": "Read ${item}?"}, foreach=["a", "b"], input={"start": "${item}"})
    world = World(pipeline(loop))
    [one, other] = suspended(world).waits
    assert [one.path, other.path] == ["a[0].approval", "a[1].approval"]
    assert [orjson.loads(wait.input)["message"] for wait in (one, other)] == ["Read a?", "Read b?"]
    assert World(pipeline(loop)).run().state == "SUCCEEDED"


def test_effects_wait_for_approval() -> None:
    emit = step("e", "orchestrator.emit", input={"topic": "t", "data": {"at": "${now}"}}, needs_approval=True)
    performed: list[Any] = []

    def perform(entry: Any) -> Any:
        performed.append(orjson.loads(entry.input))
        return {"event": "events/1"}

    world = World(pipeline(step("p", "orchestrator.wait", input={"for": "1h"}), emit), perform=perform)
    world.run()
    assert performed == [{"topic": "t", "data": {"at": "2027-01-15T09:00:00Z"}}]


def test_run_task_waits_for_approval_and_then_for_the_child_run() -> None:
    child = step(
        "c", "orchestrator.run_task", input={"task": "tasks/x", "wait": True, "params": {}}, needs_approval=True
    )
    world = World(pipeline(child))
    kinds = []
    for _ in range(2):
        ending = suspended(world)
        kinds += [(wait.path, wait.kind) for wait in ending.waits]
        world._wait(ending)
    assert kinds == [("c.approval", "APPROVAL"), ("c", "CHILD")]


@pytest.mark.parametrize("crash_at", range(4))
def test_a_crash_around_the_call_does_not_repeat_the_approval(crash_at: int) -> None:
    world = World(pipeline(step("set", input={"x": 1}), guarded(), step("z", LIST, input={"start": "x"})))
    world.crash_at = crash_at
    assert world.run().state == "SUCCEEDED"
    assert len(world.stays) == 1
    assert [path for path, _, _ in world.states()] == ["set", "a.approval", "a", "z"]
    assert len({call.body for call in world.calls if call.idempotency_key.endswith("/a")}) == 1


def test_a_retry_of_the_run_keeps_a_granted_approval() -> None:
    """An approval that was rejected is requested again."""
    world = World(pipeline(guarded(retry=0)), answer=lambda _call: Failure("TOOL_ERROR", "down"))
    assert error_of(world.run())["code"] == "TOOL_ERROR"
    kept = [entry for entry in world.journal if entry.state == "SUCCEEDED"]
    assert [entry.path for entry in kept] == ["a.approval"]
    again = World(pipeline(guarded(retry=0)), journal=kept, now_us=world.now_us + 10**12)
    assert again.run().state == "SUCCEEDED"
    assert (again.calls[0].body, again.stays) == (world.calls[0].body, [])


def test_a_denied_tool_does_not_request_approval() -> None:
    world = World(pipeline(guarded()), denied=(LIST,))
    assert error_of(world.run())["code"] == "DENIED"
    assert not world.stays


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        ({"assignees": "${params.who}"}, {"who": "boss"}),
        ({"assignees": ["${params.who}"]}, {"who": "no agent"}),
        ({"expires_in": "${params.who}"}, {"who": "soon"}),
        ({"message": "${params.who}"}, {"who": 5}),
        ({"message": "${params.gone}"}, {}),
    ],
)
def test_an_invalid_approval_request_fails_the_step(asked: dict[str, Any], params: dict[str, Any]) -> None:
    world = World(pipeline(guarded(asked)), params=params)
    assert error_of(world.run())["code"] in {"VALIDATION_INPUT", "EXPRESSION"}
    assert not world.stays


def test_an_approval_without_expiry_is_a_warning() -> None:
    """A literal or templated `expires_in` prevents the warning."""
    for steps in ([guarded()], [guarded({"assignees": ["boss"]})], [step("ask", ASK, input={"message": "Sure?"})]):
        answer = checked(pipeline(*steps))
        assert (len(answer.warnings), len(answer.warning_fixes)) == (1, 1)
        [operation] = MessageToDict(answer.warning_fixes[0].fix)["operations"]
        assert not checked(apply(pipeline(*steps), [operation])).warnings
    assert not checked(pipeline(guarded({"expires_in": "${params.soon}"}))).warnings
