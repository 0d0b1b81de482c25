"""`tolerate`: how many iterations of a loop may fail; and loops over more elements than run at a time."""

from collections import Counter
from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from pipeline_engine.language.document import Tolerance
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.simulated import simulated
from tests.unit.engine.world import World, error_of

WEATHER = "weather.forecast"


def by_city(call: Call) -> Output | Failure:
    """Fails for cities that begin with X."""
    city = call.input["city"]
    return Failure("TOOL_ERROR", "no such city") if city.startswith("X") else Output({"city": city})


def loop(cities: Any, tolerate: Any, **more: Any) -> dict[str, Any]:
    """Returns a loop that asks for the weather of each city."""
    keys = {"input": {"city": "${item}"}, "foreach": list(cities), "tolerate": tolerate, "retry": 0, **more}
    return step("f", WEATHER, **keys)


def run_of(*steps: dict[str, Any], **more: Any) -> World:
    world = World(pipeline(*steps, output="${steps.f}"), **{"answer": by_city, **more})
    assert not checked(world.document, params=world.params).violations
    return world


@pytest.mark.parametrize(
    ("cities", "tolerate", "succeeds"),
    [
        ("AXB", 1, True),
        ("AXX", 1, False),
        ("AXX", 2, True),
        ("X", 0, False),
        ("AB", 0, True),
        ("XX", 10_000, True),
        ("", 0, True),
        ("", "0%", True),
        ("", "100%", True),
        ("A", "0%", True),
        ("X", "0%", False),
        ("XXX", "100%", True),
        ("AAX", "33%", False),
        ("AAX", "33.33%", False),
        ("AAX", "34%", True),
        ("A" * 19 + "X", "5%", True),
        ("A" * 18 + "XX", "5%", False),
        ("A" * 199 + "X", "0.5%", True),
    ],
)
def test_a_loop_tolerates_that_many_failures(cities: str, tolerate: Any, succeeds: bool) -> None:
    """A share is rounded down: no more than that share of the elements may fail."""
    world = run_of(loop(cities, tolerate))
    ending = world.run()
    assert ending.state == ("SUCCEEDED" if succeeds else "FAILED")
    if succeeds:
        found = orjson.loads(ending.output)
        assert [entry.get("city", "X") for entry in found] == list(cities)
        assert all(
            entry["error"]["code"] == "TOOL_ERROR" for entry, city in zip(found, cities, strict=True) if city == "X"
        )


def test_a_share_is_exact() -> None:
    """In hundredths of a percent, without floating point."""
    assert [Tolerance(hundredths=70).of(1000), Tolerance(hundredths=230).of(1000)] == [7, 23]
    assert [Tolerance(hundredths=1).of(count) for count in (9999, 10_000)] == [0, 1]


def test_the_failure_above_the_limit_ends_the_loop() -> None:
    """With its error; what runs is cancelled, and nothing more starts."""
    world = run_of(loop(["X1", "A", "X2", "B", "C"], 1, max_parallel=1))
    error = error_of(world.run())
    assert (error["code"], error["step"], error["details"]) == ("TOOL_ERROR", "f[2]", {"failed_iterations": 2})
    assert [call.input["city"] for call in world.calls] == ["X1", "A", "X2"]
    body = [step("w", WEATHER, input={"city": "${item}"}, retry=0), step("n", "orchestrator.wait", input={"for": "1h"})]
    waiting = {"id": "f", "foreach": ["A", "X", "Y", "X"], "max_parallel": 3, "tolerate": 1, "do": body}
    world = run_of(waiting)
    assert error_of(world.run())["step"] == "f[3].w"
    assert {path for path, _, state in world.states() if state == "CANCELLED"} == {"f[0].n", "f[2].n"}


def test_an_error_without_tolerance_is_unchanged() -> None:
    """`tolerate: 0` is the default."""
    (one,) = {orjson.dumps(error_of(run_of(loop("AX", tolerate)).run())) for tolerate in (0, "0%")}
    plain = {key: value for key, value in loop("AX", 0).items() if key != "tolerate"}
    assert orjson.loads(one) == error_of(run_of(plain).run())


def test_failures_are_counted_after_their_retries() -> None:
    tried: Counter[str] = Counter()

    def answer(call: Call) -> Output | Failure:
        tried[call.input["city"]] += 1
        return Output({}) if tried[call.input["city"]] == 2 else Failure("TOOL_UNAVAILABLE", "no", retryable=True)

    assert run_of(loop("ABC", 0, retry=1), answer=answer).run().state == "SUCCEEDED"
    assert set(tried.values()) == {2}


def test_on_error_applies_when_too_many_have_failed() -> None:
    """To the loop as a whole, also `continue`."""
    world = run_of(loop("XAX", 1, on_error="continue"))
    assert orjson.loads(world.run().output)["error"]["step"] == "f[2]"
    handled = run_of(loop("XAX", 1, on_error=[step("h", input={"n": "${error.details.failed_iterations}"})]))
    assert handled.run().state == "SUCCEEDED"
    assert handled.states()[-1] == ("f.on_error.h", 1, "SUCCEEDED")
    assert len(orjson.loads(run_of(loop("XAX", 2, on_error="continue")).run().output)) == 3


def test_errors_that_an_iteration_handles_do_not_count() -> None:
    inner = step("w", WEATHER, input={"city": "${item}"}, retry=0, on_error="continue")
    world = run_of({"id": "f", "foreach": list("XXA"), "tolerate": 0, "do": [inner]})
    assert world.run().state == "SUCCEEDED"


def test_of_branches_in_a_loop() -> None:
    """An iteration with a failed branch has failed; the branches do not have a tolerance of their own."""
    branches = {"l": [step("a", WEATHER, input={"city": "${item}"}, retry=0)], "r": [step("b")]}
    both = {"id": "f", "foreach": list("XA"), "branches": branches, "tolerate": 1}
    found = orjson.loads(run_of(both).run().output)
    assert found[0]["error"]["step"] == "f[0].l.a"
    assert found[1]["l"] == {"city": "A"}


def test_nested_loops_count_separately() -> None:
    inner = {**loop([], "50%"), "id": "i", "foreach": "item"}
    world = run_of({"id": "f", "foreach": [["X", "A"], ["X", "X"], []], "tolerate": 1, "do": [inner]})
    found = orjson.loads(world.run().output)
    assert [type(entry) for entry in found] == [list, dict, list]
    assert found[1]["error"]["details"] == {"failed_iterations": 2}


def test_a_stop_and_the_timeout_of_the_run_are_not_tolerated() -> None:
    stop = step("s", "orchestrator.stop", input={"output": "${item}"}, condition="item == 'B'")
    assert run_of({"id": "f", "foreach": list("AB"), "tolerate": "100%", "do": [stop]}).run().output == b'"B"'

    def slow(_call: Call) -> Output:
        world.clock.seconds += 60
        return Output({})

    world = run_of(loop("ABC", "100%", max_parallel=1), answer=slow, remaining_ms=50_000)
    assert error_of(world.run())["message"] == "the run has exceeded its timeout"


def test_a_retry_of_the_run_keeps_what_has_succeeded() -> None:
    """The failed iterations are repeated, with a whole tolerance again."""
    broken = {"X1", "X2", "X3"}
    world = run_of(loop(["X1", "A", "X2", "B", "X3"], 2, max_parallel=1))
    assert error_of(world.run())["step"] == "f[4]"
    kept = [entry for entry in world.journal if entry.state == "SUCCEEDED"]

    def answer(call: Call) -> Output | Failure:
        city = call.input["city"]
        return Failure("TOOL_ERROR", "no") if city in broken - {"X3"} else Output({"city": city})

    again = run_of(loop(["X1", "A", "X2", "B", "X3"], 2, max_parallel=1), answer=answer, journal=kept)
    assert again.run().state == "SUCCEEDED"
    assert [call.idempotency_key for call in again.calls] == ["root/f[0]", "root/f[2]", "root/f[4]"]


def test_simulated_as_run() -> None:
    """Mocks decide which iterations fail."""
    fail = step("x", "orchestrator.fail", input={"code": "NO", "message": "m"}, condition="item == 'X'")
    one = {"id": "f", "foreach": list("AXBX"), "tolerate": "50%", "do": [fail]}
    answer = simulated(pipeline(one, output="${length(steps.f[?error])}"))
    assert (answer.state, answer.output) == ("SUCCEEDED", b"2")
    assert simulated(pipeline({**one, "tolerate": "49%"})).state == "FAILED"


@pytest.mark.parametrize(
    ("keys", "field", "fixed"),
    [
        ({"tolerate": -1}, "tolerate", None),
        ({"tolerate": 10_001}, "tolerate", None),
        ({"tolerate": 1.5}, "tolerate", None),
        ({"tolerate": 0.05}, "tolerate", "5%"),
        ({"tolerate": "101%"}, "tolerate", None),
        ({"tolerate": "100.5%"}, "tolerate", None),
        ({"tolerate": "-5%"}, "tolerate", None),
        ({"tolerate": "5 %"}, "tolerate", "5%"),
        ({"tolerate": " 5% "}, "tolerate", "5%"),
        ({"tolerate": "5"}, "tolerate", "5"),
        ({"tolerate": "%"}, "tolerate", None),
        ({"tolerate": "5%%"}, "tolerate", None),
        ({"tolerate": "1e1%"}, "tolerate", None),
        ({"tolerate": "\u0665%"}, "tolerate", None),
        ({"tolerate": "0.001%"}, "tolerate", None),
        ({"tolerate": ""}, "tolerate", None),
        ({"tolerate": True}, "tolerate", None),
        ({"tolerate": None}, "tolerate", None),
        ({"tolerate": ["5%"]}, "tolerate", None),
        ({"tolerate": {"percent": 5}}, "tolerate", None),
        ({"tolerate": "${params.n}"}, "tolerate", None),
        ({"max_failures": 5}, "max_failures", "tolerate"),
        ({"tolerance": "5%"}, "tolerance", "tolerate"),
    ],
)
def test_near_misses_are_rejected(keys: dict[str, Any], field: str, fixed: str | None) -> None:
    violations = checked(pipeline({**step("f", foreach=[1]), **keys})).violations
    (violation,) = [found for found in violations if found.field == f"steps[0].{field}"]
    assert ("an integer from 0 to 10000, or a percentage" in violation.message) is (field == "tolerate")
    assert violation.HasField("fix") is (fixed is not None)
    assert (fixed or "") in str(violation.fix)


def test_only_loops_tolerate() -> None:
    for other in ({}, {"branches": {"l": [step("b")]}}, {"until": "steps.f", "every": "1s"}):
        one = {**(step("f") if "branches" not in other else {"id": "f"}), **other, "tolerate": 1}
        (violation,) = checked(pipeline(one)).violations
        assert violation.message == "`tolerate` applies only to a step with `foreach`"
        assert not violation.HasField("fix")


def test_the_normalised_document_is_valid_again() -> None:
    for tolerate in (0, 3, "5%", "12.5%", "0.25%", "100.00%"):
        normal = checked(pipeline(loop("A", tolerate))).pipeline
        assert checked(normal).pipeline == normal
        again = orjson.loads(normal)["steps"][0]["tolerate"]
        assert again == (tolerate if tolerate != "100.00%" else "100%")


def test_outputs_of_tolerated_failures_may_be_read() -> None:
    """The schema of an output that may be an error has `error`."""
    used = step("u", input={"codes": "${steps.f[?error].error.code}"})
    assert not checked(pipeline(loop("A", "5%"), used)).warnings


def test_a_long_loop_continues_where_it_was() -> None:
    """Of 2500 elements, a crash repeats at most those that ran, and those that had ended but were not recorded."""
    document = pipeline(
        {"id": "f", "foreach": "params.cities", "max_parallel": 20, "tolerate": 1, "do": [
            step("w", WEATHER, input={"city": "${item}"}, retry=0), step("last", input={"c": "${item}"}),
        ]},
        output="${length(steps.f)}",
    )  # fmt: skip
    cities = [*(str(n) for n in range(2499)), "X"]
    for crash_at in (1200, 2400):
        world = World(document, answer=by_city, params={"cities": cities}, crash_at=crash_at)
        ending = world.run()
        assert (ending.state, ending.output) == ("SUCCEEDED", b"2500"), ending.error
        calls = Counter(call.idempotency_key for call in world.calls)
        assert len(calls) == 2500
        assert sum(calls.values()) - 2500 <= 40, "at most twice `max_parallel`"
        assert world.most_at_once == 20


def test_sequential_iterations_are_recorded_one_by_one() -> None:
    """A call of the next iteration starts when the result of the one before is durable."""
    for crash_at in range(12):
        world = run_of(loop("ABCDEF", 0, max_parallel=1), crash_at=crash_at)
        assert world.run().state == "SUCCEEDED"
        assert len(world.calls) <= 7


def test_the_limits_of_long_loops() -> None:
    """10 000 elements in one loop, 20 000 iterations in a run."""
    document = pipeline(step("f", foreach="params.many"), step("g", foreach="params.many"), output="${length(steps.g)}")
    assert World(document, params={"many": [0] * 10_000}).run().output == b"10000"
    third = pipeline(*document["steps"], step("h", foreach="params.one"))
    error = error_of(World(third, params={"many": [0] * 10_000, "one": [0]}).run())
    assert (error["code"], error["step"]) == ("FAN_OUT_LIMIT", "h")
