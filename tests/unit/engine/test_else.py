"""`else`: the steps that run when the condition of a step is false."""

from typing import Any

import orjson
import pytest

from pipeline_engine.interpreter.requests import Call, Output
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.world import World, error_of, failing

LIST = "calendar.list_events"


def either(condition: Any, *otherwise: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Returns a step with a condition and an alternative."""
    return {**step("a", input={"n": 1}, condition=condition, **more), "else": list(otherwise)}


def output_of(*steps: dict[str, Any], output: Any, **more: Any) -> Any:
    document = pipeline(*steps, output=output)
    assert not checked(document, params=more.get("params", {})).violations
    ending = World(document, **more).run()
    assert ending.state == "SUCCEEDED", ending.error
    return orjson.loads(ending.output)


@pytest.mark.parametrize("condition", [False, "params.no", "params.list", "params.text", "params.n > 5"])
def test_the_alternative_runs_if_the_condition_is_false(condition: Any) -> None:
    """Its last output is the output of the step, under both names; its steps are visible afterwards."""
    other = either(condition, step("b", input={"n": 2}), step("c", input={"n": "${add(steps.b.n, 1)}"}), save_as="s")
    params: dict[str, Any] = {"no": None, "list": [], "text": "", "n": 3}
    found = output_of(other, output="${[steps.a.n, steps.s.n, steps.b.n, steps.c.n]}", params=params)
    assert found == [3, 3, 2, 3]


def test_the_alternative_is_null_if_the_condition_is_true() -> None:
    group = {"id": "g", "do": [step("d")], "if": True, "else": [step("e", save_as="f")]}
    for one in (either("params.yes", step("b")), group):
        names = ["b"] if one["id"] == "a" else ["e", "f"]
        found = output_of(one, output={name: f"${{steps.{name}}}" for name in names}, params={"yes": 1})
        assert found == dict.fromkeys(names)


def test_the_step_is_skipped_and_its_alternative_has_paths_below_it() -> None:
    inner = {**step("b", condition=False), "else": [step("c")]}
    world = World(pipeline(either(False, inner)))
    world.run()
    assert world.states() == [("a", 1, "SKIPPED"), ("a.else.b", 1, "SKIPPED"), ("a.else.b.else.c", 1, "SUCCEEDED")]


@pytest.mark.parametrize(
    "action",
    [
        {"uses": LIST, "with": {"start": "x"}, "needs_approval": True},
        {"uses": LIST, "with": {"start": "${item}"}, "foreach": ["x"]},
        {"do": [step("d")]},
        {"foreach": [1], "do": [step("d")]},
        {"branches": {"else": [step("d")]}},
        {"uses": "orchestrator.wait", "with": {"for": "1h"}},
        {"uses": "orchestrator.request_approval", "with": {"message": "?", "expires_in": "1h"}},
        {"uses": LIST, "with": {"start": "x"}, "until": "steps.a.ok", "every": "1s"},
    ],
)
def test_each_kind_of_step_may_have_an_alternative(action: dict[str, Any]) -> None:
    """In place of the whole step, with its loop and its approval."""
    alternative = step("b", input={"other": True})
    found = output_of({"id": "a", "if": False, **action, "else": [alternative]}, output="${steps.a}")
    assert found == {"other": True}


def test_a_loop_does_not_give_its_alternative_an_item() -> None:
    one = {"id": "a", "if": "params.x", "foreach": [1], "do": [step("d")], "else": [step("b", input={"i": "${item}"})]}
    (violation,) = checked(pipeline(one)).violations
    assert violation.message.startswith("`item` is available only in")


def test_in_a_loop_each_iteration_decides() -> None:
    body = {**step("odd", input={"v": "odd"}, condition="item != '2'"), "else": [step("even", input={"v": "even"})]}
    loop = {"id": "l", "foreach": ["1", "2", "3"], "do": [body, step("last", input={"e": "${steps.even.v || 'null'}"})]}
    assert output_of(loop, output="${steps.l[].e}") == ["null", "even", "null"]


def test_on_error_of_the_step_handles_failures_of_its_alternative() -> None:
    """The output is the error, as for the step itself."""
    broken = step("b", "orchestrator.fail", input={"code": "NO", "message": "m"})
    assert output_of(either(False, broken, on_error="continue"), output="${steps.a.error.step}") == "a.else.b"
    handler = step("h", input={"code": "${error.code}"})
    assert output_of(either(False, broken, on_error=[handler]), output="${steps.a.error.code}") == "NO"
    assert error_of(World(pipeline(either(False, broken))).run())["step"] == "a.else.b"


def test_a_condition_that_cannot_be_evaluated_is_an_error_and_not_false() -> None:
    world = World(pipeline(either("params.n > 'x'", step("b"))), params={"n": 1})
    assert error_of(world.run())["code"] == "EXPRESSION"
    assert world.states() == [("a", 1, "FAILED")]


def test_the_decision_is_kept_after_a_wait() -> None:
    """The condition depends on `now`, which has another value then."""
    nap = step("nap", "orchestrator.wait", input={"for": "1h"})
    document = pipeline(either("now > '2027-01-15T08:30:00Z'", nap, step("b", LIST, input={"start": "x"})))
    world = World(document)
    assert world.run().state == "SUCCEEDED"
    assert [call.idempotency_key for call in world.calls] == ["root/a.else.b"]


def test_a_stop_in_an_alternative_ends_the_run() -> None:
    stop = step("b", "orchestrator.stop", input={"output": 7})
    assert World(pipeline(either(False, stop), step("never"))).run().output == b"7"


def test_an_alternative_takes_the_events_of_its_own_line_only() -> None:
    """After a resume, a branch in it sees the event that ended a wait of another branch."""
    event = step("e", "orchestrator.wait_event", input={"topic": "t", "timeout": "7d"})
    late = [
        step("nap", "orchestrator.wait", input={"for": "1h"}),
        step("f", "orchestrator.wait_event", input={"topic": "t", "timeout": "7d"}),
    ]
    world = World(pipeline(either(False, {"id": "both", "branches": {"l": [event], "r": late}})))
    world.happens = lambda paths: next((path for path in paths if path.endswith(".e")), paths[0])
    world._result = lambda path, moment: {"position": 5}  # type: ignore[method-assign]
    first = world.segment()
    world._wait(first)  # type: ignore[arg-type]
    second = world.segment()
    world._wait(second)  # type: ignore[arg-type]
    third = world.segment()
    (wait,) = third.waits  # type: ignore[union-attr]
    assert (wait.path, list(wait.taken_positions)) == ("a.else.both.r.f", [])


def test_a_failed_alternative_continues_in_a_retry_of_the_run() -> None:
    """The decision and the finished steps are kept."""
    first, second = step("b", LIST, input={"start": "x"}), step("c", "weather.forecast", input={"city": "X"}, retry=0)
    document = pipeline(either("params.no", first, second), output="${steps.a}")
    fails = failing(1)

    def answer(call: Call) -> Any:
        return fails(call) if call.tool.name == "weather.forecast" else Output({"events": []})

    world = World(document, answer=answer)
    assert world.run().state == "FAILED"
    kept = [entry for entry in world.journal if entry.state in {"SUCCEEDED", "SKIPPED"}]
    again = World(document, answer=answer, journal=kept, params={"no": True})
    assert again.run().state == "SUCCEEDED"
    assert [call.idempotency_key for call in again.calls] == ["root/a.else.c"]


@pytest.mark.parametrize(
    ("keys", "field", "message", "fixed"),
    [
        ({"if": "params.x", "otherwise": [step("b")]}, "otherwise", "did you mean `else`?", "else"),
        ({"if": "params.x", "orElse": [step("b")]}, "orElse", "did you mean `else`?", "else"),
        ({"else": [step("b")]}, "else", "`else` applies only to a step with `if`", None),
        ({"when": "params.x", "else": [step("b")]}, "when", "did you mean `if`?", "if"),
        ({"if": "params.x", "elif": "params.y"}, "elif", "write the next condition inside `else`", None),
        ({"if": "params.x", "elseif": "params.y"}, "elseif", "write the next condition inside `else`", None),
        ({"if": "params.x", "else": step("b")}, "else", "must be a list of steps, not an object", "list"),
        ({"if": "params.x", "else": "continue"}, "else", "must be a list of steps, not a string", None),
        ({"if": "params.x", "else": None}, "else", "must be a list of steps, not null", None),
        ({"if": "params.x", "else": []}, "else", "a list of steps must have at least one step", None),
        ({"if": "params.x", "else": [step("a")]}, "else[0].id", "the name `a` is already used", "a_2"),
        ({"if": "params.x", "else": [step("b", input={"x": "${steps.a}"})]}, "else[0].with.x", "has not run yet", None),
    ],
)
def test_near_misses_are_rejected(keys: dict[str, Any], field: str, message: str, fixed: str | None) -> None:
    """With the key that is meant."""
    violations = {v.field.removeprefix("steps[0]."): v for v in checked(pipeline({**step("a"), **keys})).violations}
    assert message in violations[field].message
    assert violations[field].HasField("fix") is (fixed is not None)
    if fixed:
        assert fixed in str(violations[field].fix)


def test_an_alternative_that_never_runs_is_a_warning() -> None:
    for condition in (True, None):
        (warning,) = checked(pipeline(either(condition, step("b")))).warnings
        assert warning == "steps[0].else: `else` never runs: the step has no condition that could be false"


def test_the_normalised_document_is_valid_again() -> None:
    document = pipeline(either("params.x", step("b", input={"x": 1})), step("c", input={"b": "${steps.b.x}"}))
    normal = checked(document).pipeline
    assert orjson.loads(normal)["steps"][0]["else"][0]["id"] == "b"
    assert checked(normal).pipeline == normal
