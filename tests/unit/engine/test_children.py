"""Steps that start child runs: as an effect, or with a wait for the end of the child."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, RunStart
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.requests import Finished, Suspended
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.stream.run_start import EngineContext, prepare
from tests.unit.engine.pipelines import TOOL_TEXTS, checked, pipeline, step
from tests.unit.engine.world import NOW_US, ManualClock, World, error_of

RUN_TASK = "orchestrator.run_task"
EVENT = {"topic": "order.*", "timeout": "7d"}


def child(name: str, **given: Any) -> dict[str, Any]:
    return step(name, RUN_TASK, input={"task": "tasks/report", **given})


def suspended(world: World) -> Suspended:
    ending = world.segment()
    assert isinstance(ending, Suspended)
    return ending


def end(world: World, path: str, output: Any = None, failure: Failure | None = None) -> None:
    """Ends the child run of a step."""
    entry = world.waits[path]
    if failure is None:
        entry.state, entry.output = "SUCCEEDED", b"" if output is None else orjson.dumps(output)
    else:
        entry.state, entry.error = "FAILED", failure.at(path, RUN_TASK, 1).to_json()


def test_run_task_without_wait_is_an_effect() -> None:
    """It uses the step's idempotency key; the worker's response is the output."""
    asked: list[dict[str, Any]] = []

    def perform(entry: JournalEntry) -> Any:
        asked.append(orjson.loads(entry.input))
        return {"run": "runs/c"}

    steps = child("a", params={"city": "${params.city}"}), child("b", wait=False, delay="5m")
    world = World(pipeline(*steps, output="${steps.a.run}"), perform=perform, params={"city": "Iasi"})
    ending = world.run()
    assert (ending.state, ending.output) == ("SUCCEEDED", b'"runs/c"')
    assert world.effects == ["root/a", "root/b"]
    assert asked[0] == {"task": "tasks/report", "params": {"city": "Iasi"}}


def test_run_task_with_wait_suspends_and_resumes_with_the_childs_output() -> None:
    world = World(pipeline(child("a", wait=True), output="${steps.a.n}"))
    ending = suspended(world)
    [wait] = ending.waits
    assert (wait.path, wait.kind, wait.tool) == ("a", "CHILD", RUN_TASK)
    assert orjson.loads(wait.input) == {"task": "tasks/report", "wait": True}
    world._wait(ending, comes=False)
    end(world, "a", {"n": 7})
    assert world.run().output == b"7"
    assert world.states() == [("a", 1, "SUCCEEDED")]


def test_a_child_without_output_returns_null() -> None:
    world = World(pipeline(child("a", wait=True), output={"was": "${steps.a}"}))
    world._wait(suspended(world), comes=False)
    end(world, "a")
    assert world.run().output == b'{"was":null}'


def test_a_childs_failure_is_handled_by_on_error() -> None:
    handler = [step("h", "orchestrator.set", input={"run": "${error.details.run}", "why": "${error.code}"})]
    world = World(pipeline({**child("a", wait=True), "on_error": handler}, output="${steps.h}"))
    world._wait(suspended(world), comes=False)
    end(world, "a", failure=Failure("TOOL_ERROR", "runs/c failed", details={"run": "runs/c"}))
    assert world.run().output == b'{"run":"runs/c","why":"TOOL_ERROR"}'


def test_iterations_wait_for_children_concurrently() -> None:
    """At most max_parallel at once; the end of one starts the next."""
    each = {**child("each", params={"n": "${item}"}, wait=True), "foreach": [1, 2, 3], "max_parallel": 2}
    world = World(pipeline(each, output="${steps.each}"))
    first = suspended(world)
    assert [wait.path for wait in first.waits] == ["each[0]", "each[1]"]
    world._wait(first, comes=False)
    end(world, "each[1]", 2)
    second = suspended(world)
    assert [(wait.path, wait.kind) for wait in second.waits] == [("each[0]", ""), ("each[2]", "CHILD")]
    world._wait(second, comes=False)
    end(world, "each[0]", 1)
    end(world, "each[2]", 3)
    assert world.run().output == b"[1,2,3]"


def test_the_output_of_a_child_is_not_an_event() -> None:
    """A child may publish the event that its parent waits for next."""
    world = World(pipeline(child("a", wait=True), step("e", "orchestrator.wait_event", input=EVENT)))
    world._wait(suspended(world), comes=False)
    end(world, "a", {"position": 7, "publish_time": "2030-01-01T00:00:00Z"})
    [wait] = suspended(world).waits
    assert not wait.HasField("since_us")
    assert not wait.taken_positions


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"task": "t", "wait": "${params.x}"}, "steps[0].with.wait"),
        ({"task": "t", "delay": "soon"}, "steps[0].with.delay"),
        ({"task": "t", "delay": "1s", "start_time": "${now}"}, "steps[0].with"),
        ({"wait": True}, "steps[0].with"),
        ("${params.x}", "steps[0].with"),
    ],
)
def test_options_of_run_task_must_be_literal(given: Any, field: str) -> None:
    answer = checked(pipeline(step("a", RUN_TASK, input=given)))
    assert [violation.field for violation in answer.violations] == [field]


@pytest.mark.parametrize(("modifier", "value"), [("timeout", "5m"), ("retry", 3)])
def test_retry_and_timeout_do_not_apply_to_a_step_that_waits_for_a_run(modifier: str, value: Any) -> None:
    assert [one.field for one in checked(pipeline({**child("a", wait=True), modifier: value})).violations] == [
        f"steps[0].{modifier}"
    ]
    assert not checked(pipeline({**child("a"), modifier: value})).violations


def test_a_child_run_with_wait_can_need_approval() -> None:
    """It starts with exactly the approved input."""
    asked = {**child("a", params={"at": "${now}"}, wait=True), "needs_approval": {"expires_in": "1d"}}
    world = World(pipeline(asked, output="${steps.a.at}"))
    question = suspended(world)
    assert [(wait.path, wait.kind) for wait in question.waits] == [("a.approval", "APPROVAL")]
    world._wait(question)
    assert world.now_us > NOW_US
    ending = suspended(world)
    assert [(wait.path, wait.kind) for wait in ending.waits] == [("a", "CHILD")]
    world._wait(ending)
    assert world.run().output == b'"2027-01-15T08:00:00Z"'


def test_a_failing_effect_fails_its_step() -> None:
    refused = Failure("NOT_FOUND", "there is no tasks/report")
    ending = World(pipeline(child("a")), perform=lambda _entry: refused).run()
    assert isinstance(ending, Finished)
    assert error_of(ending)["code"] == "NOT_FOUND"


def test_params_of_a_child_run_are_checked_before_its_first_step() -> None:
    """Only once: a run that has started is not checked again."""
    schema = b'{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'

    def outcome(params: bytes, schema: bytes = schema, journal: Sequence[JournalEntry] = ()) -> Any:
        definition = Definition(hash="h", pipeline=orjson.dumps(pipeline(step("x"))), tools=TOOL_TEXTS)
        unused: Any = None
        context = EngineContext(PlanCache(), unused, unused, ManualClock(), lambda _key: 0.0)
        start = RunStart(hash="h", root="r", params=params, params_schema=schema, journal=journal)
        execution = prepare(start, definition, context)
        assert isinstance(execution, Execution)
        execution.start()
        assert isinstance(execution.ending, Finished)
        return error_of(execution.ending) if execution.ending.error else None

    refused = outcome(b'{"n": "x"}')
    assert (refused["code"], refused["pointer"]) == ("VALIDATION_INPUT", "/n")
    assert outcome(b'{"n": 1}') is None
    assert outcome(b'{"n": "x"}', b"") is None
    assert outcome(b'{"n": "x"}', journal=[JournalEntry(path="x", attempt=1, state="SUCCEEDED")]) is None


INNER = {"steps": [step("x", input={"n": "${params.n}"})], "output": "${steps.x.n}"}


def inner(name: str, document: Any, **given: Any) -> dict[str, Any]:
    return step(name, "orchestrator.run_pipeline", input={"pipeline": document, **given})


def test_a_literal_pipeline_keeps_its_placeholders() -> None:
    """The child run renders them; the params are rendered by the parent."""
    world = World(pipeline(inner("a", INNER, params={"n": "${params.m}"}), output="${steps.a}"), params={"m": 7})
    ending = suspended(world)
    [wait] = ending.waits
    assert (wait.kind, list(wait.tools)) == ("CHILD", ["orchestrator.set"])
    assert orjson.loads(wait.pipeline)["output"] == "${steps.x.n}"
    assert orjson.loads(wait.input) == {"pipeline": INNER, "params": {"n": 7}}
    world._wait(ending, comes=False)
    end(world, "a", 7)
    assert world.run().output == b"7"


def test_a_computed_pipeline_is_not_rendered_by_the_parent() -> None:
    """The output of an earlier step runs unchanged; a bare list of steps is accepted."""
    for document in (INNER, INNER["steps"]):
        world = World(pipeline(inner("a", "${params.plan}")), params={"plan": document})
        [wait] = suspended(world).waits
        assert orjson.loads(wait.pipeline)["steps"][0]["with"] == {"n": "${params.n}"}


def test_an_invalid_computed_pipeline_fails_with_all_problems() -> None:
    plan = {"steps": [step("x", input={"n": "${steps.y}"}), {"id": "z", "use": "a.b"}], "more": 1}
    error = error_of(World(pipeline(inner("a", "${params.plan}")), params={"plan": plan}).run())
    assert (error["code"], error["pointer"], error["step"]) == ("VALIDATION_INPUT", "/pipeline", "a")
    assert {one["field"] for one in error["details"]["problems"]} >= {"more", "steps[0].with.n", "steps[1].use"}
    for wrong in ("text", 7, None):
        failed = World(pipeline(inner("a", "${params.plan}")), params={"plan": wrong}).run()
        assert error_of(failed)["code"] == "VALIDATION_INPUT"


def test_validating_a_computed_pipeline_is_charged() -> None:
    """A large one cannot block the engine."""
    plan = {"steps": [step(f"x{n}", input={"n": [1] * 50}) for n in range(900)]}
    error = error_of(World(pipeline(inner("a", "${params.plan}")), params={"plan": plan}).run())
    assert error["code"] == "PAYLOAD_TOO_LARGE"


def test_a_literal_pipeline_is_validated_with_its_parent() -> None:
    """At its place, with repairs, in a separate scope of names; nested ones too."""
    document = {"steps": [step("x", "orchestrator.sett"), step("y", input={"n": "${steps.outer}"})]}
    found = checked(pipeline(step("outer"), inner("a", document)))
    assert [(one.field, one.HasField("fix")) for one in found.violations] == [
        ("steps[1].with.pipeline.steps[0].uses", True),
        ("steps[1].with.pipeline.steps[1].with.n", False),
    ]
    assert found.violations[0].fix.operations[0]["path"] == "/steps/1/with/pipeline/steps/0/uses"
    deep = checked(pipeline(inner("a", {"steps": [inner("b", [step("x", "no.tool")])]})))
    assert [one.field for one in deep.violations] == ["steps[0].with.pipeline.steps[0].with.pipeline[0].uses"]
    assert not checked(pipeline(inner("a", INNER), inner("b", "${params.plan}"))).violations
    assert [one.field for one in checked(pipeline(inner("a", "text"))).violations] == ["steps[0].with.pipeline"]


def test_the_open_waits_of_a_run_are_limited_together() -> None:
    """They must fit in one message with the journal."""
    each = {**child("each", params={"text": "${item}"}, wait=True), "foreach": "params.texts", "on_error": "continue"}
    world = World(pipeline(each), params={"texts": ["x" * 900_000] * 10})
    ending = suspended(world)
    assert len(ending.waits) == 9
    assert [(entry.path, entry.state) for entry in ending.entries] == [("each[9]", "FAILED")]
    assert b"PAYLOAD_TOO_LARGE" in ending.entries[0].error
