"""`do`, `foreach` and `branches`: outputs, concurrency and failures."""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output, Request
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, error_of

WEATHER = "weather.forecast"


def block(step_id: str, **modifiers: Any) -> dict[str, Any]:
    """Returns a step without a tool."""
    return {"id": step_id, **{"if" if key == "condition" else key: value for key, value in modifiers.items()}}


def by_city(call: Call) -> Output | Failure:
    """Fails for the city X."""
    city = call.input["city"]
    return Failure("TOOL_ERROR", "no such city") if city == "X" else Output({"events": [], "city": city})


def ask(step_id: str, city: str = "${item}", **more: Any) -> dict[str, Any]:
    return step(step_id, WEATHER, input={"city": city}, **more)


def at_random(random: Random) -> Callable[[list[tuple[int, Request]]], int]:
    """Returns a function that chooses the next response at random."""
    return lambda asked: random.randrange(len(asked))


def output_of(document: Any, **more: Any) -> Any:
    world = World(document, answer=by_city, **more)
    ending = world.run()
    assert ending.state == "SUCCEEDED", ending.error
    return orjson.loads(ending.output)


def test_a_loop_returns_its_outputs_in_order() -> None:
    """In any order of responses; `item` and `index` are root names of its input; paths contain the index."""
    document = pipeline(
        step("f", WEATHER, input={"city": "${item.name}", "n": "${index}"}, foreach="params.cities"),
        output="${steps.f[*].city}",
    )
    cities = [{"name": name} for name in "ABCDE"]
    for seed in range(5):
        world = World(document, answer=by_city, params={"cities": cities}, choose=at_random(Random(seed)))
        assert orjson.loads(world.run().output) == list("ABCDE")
        assert {call.idempotency_key for call in world.calls} == {f"root/f[{index}]" for index in range(5)}
        assert {call.input["n"] for call in world.calls} == set(range(5))
    assert world.states()[-1] == ("f", 1, "SUCCEEDED")


@pytest.mark.parametrize(("limit", "most"), [(None, 10), (1, 1), (3, 3), (100, 30)])
def test_the_number_of_concurrent_iterations_is_limited(limit: int | None, most: int) -> None:
    """Ten by default."""
    more: dict[str, Any] = {} if limit is None else {"max_parallel": limit}
    world = World(pipeline(ask("f", foreach=["A"] * 30, **more)), answer=by_city)
    world.run()
    assert world.most_at_once == most
    assert len(world.calls) == 30


def test_names_in_a_loop_are_local_to_the_iteration() -> None:
    """The steps of a body see each other and the steps before the loop."""
    body = [ask("w"), step("say", input={"text": "${steps.before.greeting} ${steps.w.city} ${index}"})]
    document = pipeline(
        step("before", input={"greeting": "Hi"}),
        block("loop", foreach="params.c", do=body, save_as="texts"),
        output="${steps.texts[].text}",
    )
    world = World(document, answer=by_city, params={"c": ["A", "B"]})
    assert orjson.loads(world.run().output) == ["Hi A 0", "Hi B 1"]
    assert {"loop[0].w", "loop[1].say", "loop"} <= {path for path, _, _ in world.states()}


def test_branches_run_concurrently_and_return_an_object() -> None:
    """With the last output of each branch by name."""
    document = pipeline(
        block(
            "both",
            branches={"left": [ask("a", "A"), step("b", input={"x": "${steps.a.city}!"})], "right": [ask("c", "C")]},
        ),
        output="${[steps.both.left.x, steps.both.right.city]}",
    )
    world = World(document, answer=by_city)
    assert orjson.loads(world.run().output) == ["A!", "C"]
    assert world.most_at_once == 2
    assert {call.idempotency_key for call in world.calls} == {"root/both.left.a", "root/both.right.c"}


def test_modifiers_apply_to_a_group_as_a_whole() -> None:
    """Names inside are visible afterwards, and null if the group did not run."""
    group = block("g", condition="params.go", do=[step("x", input={"n": 1}), step("y", input={"m": "${steps.x.n}"})])
    document = pipeline(group, output={"g": "${steps.g}", "x": "${steps.x}"})
    assert output_of(document, params={"go": True}) == {"g": {"m": 1}, "x": {"n": 1}}
    assert output_of(document, params={"go": False}) == {"g": None, "x": None}


def test_the_first_failure_cancels_the_siblings() -> None:
    """No new iteration starts, and the loop fails with that error."""
    document = pipeline(ask("f", foreach=["X", *"ABCDEFGHIJKLMNO"], max_parallel=4))
    world = World(document, answer=by_city)
    error = error_of(world.run())
    assert (error["step"], error["code"]) == ("f[0]", "TOOL_ERROR")
    assert len(world.calls) == 1
    assert world.states()[-1] == ("f", 1, "FAILED")


def test_continue_keeps_errors_at_their_positions() -> None:
    """Of iterations and branches; the siblings continue."""
    loop = ask("f", foreach=["A", "X", "B"], on_error="continue")
    fork = block("g", branches={"good": [ask("a", "A")], "bad": [ask("x", "X")]}, on_error="continue")
    found = output_of(pipeline(loop, fork, output={"f": "${steps.f}", "g": "${steps.g}"}))
    assert [entry.get("city") or entry["error"]["code"] for entry in found["f"]] == ["A", "TOOL_ERROR", "B"]
    assert found["g"]["good"]["city"] == "A"
    assert found["g"]["bad"]["error"]["step"] == "g.bad.x"


def test_handlers_of_blocks_get_the_error() -> None:
    """The run continues after them."""
    handler = [step("h", input={"where": "${error.step}"})]
    for failing in (
        block("b", do=[ask("x", "X")], on_error=handler),
        ask("b", foreach=["A", "X"], on_error=handler),
        block("b", branches={"only": [ask("x", "X")]}, on_error=handler),
    ):
        world = World(pipeline(failing, step("after")), answer=by_city)
        assert world.run().state == "SUCCEEDED"
        paths = [path for path, _, _ in world.states()]
        assert paths[-2:] == ["b.on_error.h", "after"]
        where = orjson.loads(world.journal[-2].output)["where"]
        assert where in {"b.x", "b[1]", "b.only.x"}


def test_a_stop_inside_ends_the_whole_run() -> None:
    """From any depth, with its output."""
    stop = step("s", "orchestrator.stop", input={"output": "${item}"}, condition="item == 'B'")
    document = pipeline(block("f", foreach=list("ABC"), max_parallel=1, do=[stop, ask("w")]), step("never"))
    world = World(document, answer=by_city)
    assert world.run().output == b'"B"'
    assert [call.input["city"] for call in world.calls] == ["A"]


def test_loops_in_loops() -> None:
    """The inner `item` hides the outer one, which a step can keep."""
    inner = block("i", foreach="item", do=[step("v", input={"v": "${item}", "row": "${steps.keep.row}"})])
    document = pipeline(
        block("o", foreach=[[1, 2], [3]], do=[step("keep", input={"row": "${index}"}), inner]),
        output="${steps.o}",
    )
    assert output_of(document) == [[{"v": 1, "row": 0}, {"v": 2, "row": 0}], [{"v": 3, "row": 1}]]


@pytest.mark.parametrize(
    ("foreach", "code"),
    [("params.n", "EXPRESSION"), ("params.missing", "EXPRESSION"), ("params.many", "FAN_OUT_LIMIT")],
)
def test_an_invalid_list_fails_the_loop(foreach: str, code: str) -> None:
    """Not a list, null, or too many elements."""
    world = World(pipeline(step("f", foreach=foreach)), params={"n": 5, "many": [0] * 10_001})
    error = error_of(world.run())
    assert (error["code"], error["step"]) == (code, "f")
    ending = World(
        pipeline(step("f", foreach=foreach, on_error="continue")), params={"n": 5, "many": [0] * 10_001}
    ).run()
    assert ending.state == "SUCCEEDED"


def test_nested_loops_are_limited_together() -> None:
    """Twenty thousand iterations of a run, and a few hundred concurrent strands."""
    inner = ask("i", foreach="params.l", max_parallel=100)
    document = pipeline(block("o", foreach="params.l", max_parallel=100, do=[inner]))
    world = World(document, answer=lambda _: Output({"events": []}), params={"l": [str(n) for n in range(150)]})
    assert error_of(world.run())["code"] == "FAN_OUT_LIMIT"
    assert world.most_at_once <= 300


def test_an_empty_loop_returns_an_empty_list() -> None:
    """Also of blocks."""
    document = pipeline(
        ask("a", foreach=[]), block("b", foreach="params.none", do=[ask("c")]), output="${[steps.a, steps.b]}"
    )
    assert output_of(document, params={"none": []}) == [[], []]


def test_each_iteration_is_retried_separately() -> None:
    """The delays run concurrently."""
    seen: dict[str, int] = {}

    def flaky(call: Call) -> Output | Failure:
        seen[call.idempotency_key] = seen.get(call.idempotency_key, 0) + 1
        return Output({"events": []}) if seen[call.idempotency_key] == 2 else Failure("TIMEOUT", "t", retryable=True)

    world = World(pipeline(ask("f", foreach=list("ABC"))), answer=flaky)
    assert world.run().state == "SUCCEEDED"
    assert set(seen.values()) == {2}
    assert ("f[2]", 2, "SUCCEEDED") in world.states()


def test_a_run_leaves_the_engine_when_every_strand_has_a_long_delay() -> None:
    """Until the first of them ends; the others keep the rest of their delay."""
    retry = {"max": 1, "delay": "10m", "jitter": 0}
    tried: set[str] = set()

    def once_down(call: Call) -> Output | Failure:
        key = call.idempotency_key
        if key in tried or key.endswith("calm"):
            return Output({"events": []})
        tried.add(key)
        return Failure("TOOL_UNAVAILABLE", "down", retryable=True)

    branches = {
        "slow": [ask("a", "A", retry=retry)],
        "slower": [ask("b", "B", retry={**retry, "delay": "20m"})],
        "fast": [ask("calm", "C"), ask("then_calm", "C")],
    }
    world = World(pipeline(block("f", branches=branches), output="${steps.f.fast}"), answer=once_down)
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [pytest.approx(600.0), pytest.approx(600.0)]
    assert len(world.calls) == 6


def test_large_outputs_end_a_loop_early() -> None:
    """Outputs that exceed the limit together are not collected, and entries are committed early."""
    document = pipeline(step("f", input={"x": "${params.big}"}, foreach="params.many", on_error="continue"), step("b"))
    world = World(document, params={"big": "x" * 300_000, "many": [0] * 500})
    ending = world.run()
    assert ending.state == "SUCCEEDED"
    entry = next(entry for entry in world.journal if entry.path == "f")
    assert orjson.loads(entry.error)["code"] == "PAYLOAD_TOO_LARGE"
    assert len(world.journal) < 20


def test_branches_inside_a_loop() -> None:
    """The output is a list of objects; each iteration is recorded when it has ended."""
    both = {"l": [ask("a")], "r": [step("b", input={"n": "${index}"})]}
    document = pipeline(block("f", foreach=["A", "B"], branches=both), output="${steps.f}")
    world = World(document, answer=by_city)
    found = orjson.loads(world.run().output)
    assert [(entry["l"]["city"], entry["r"]["n"]) for entry in found] == [("A", 0), ("B", 1)]
    assert {"f[0].l.a", "f[1].r.b", "f[0]", "f[1]", "f"} <= {path for path, _, _ in world.states()}
