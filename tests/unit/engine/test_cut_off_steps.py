"""Steps that a failing sibling or a stop ends are recorded as CANCELLED."""

from collections.abc import Callable
from typing import Any

import orjson

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output, Request
from tests.unit.engine.pipelines import TOOL_TEXTS, pipeline, step
from tests.unit.engine.test_replays_reproduce_runs import replayed, told
from tests.unit.engine.world import World

WEATHER = "weather.forecast"
CANCELLED = "CANCELLED"
MAIL = orjson.dumps({"name": "mail.send", "effect": "UNSAFE", "http": {"method": "POST", "url": "http://127.0.0.1:1/"}})


def unless(city: str) -> Callable[[Call], Output | Failure]:
    """Returns a tool that fails for one city."""
    return lambda call: Failure("NO_CITY", "no") if call.input["city"] == city else Output({"events": []})


def answers_first(path: str) -> Callable[[list[tuple[int, Request]]], int]:
    """Responds to writes first, then to the call of a path."""

    def choose(asked: list[tuple[int, Request]]) -> int:
        paths = [request.path if isinstance(request, Call) else "" for _, request in asked]
        return paths.index("") if "" in paths else paths.index(path)

    return choose


def weather(step_id: str, city: str, **more: Any) -> dict[str, Any]:
    return step(step_id, WEATHER, input={"city": city}, **more)


def test_calls_in_flight_are_cancelled_when_a_sibling_fails() -> None:
    """The entry has the call's input and its end time; the failure of the block follows."""
    document = pipeline(
        {"id": "both", "branches": {"one": [weather("a", "Rome")], "two": [weather("b", "X")]}},
        output="${steps}",
    )
    world = World(document, answer=unless("X"), choose=answers_first("both.two.b"))
    assert world.run().state == "FAILED"
    assert world.states() == [("both.two.b", 1, "FAILED"), ("both.one.a", 1, CANCELLED), ("both", 1, "FAILED")]
    entry = world.journal[1]
    assert (entry.tool, orjson.loads(entry.input), entry.output, entry.error) == (WEATHER, {"city": "Rome"}, b"", b"")
    assert entry.start_us <= entry.end_us


def test_iterations_that_have_not_started_have_no_entry() -> None:
    cities = ["Rome", "X", "Bern"]
    loop = step("f", WEATHER, input={"city": "${item}"}, foreach=cities, max_parallel=2)
    world = World(pipeline(loop), answer=unless("X"), choose=answers_first("f[1]"))
    world.run()
    assert world.states() == [("f[1]", 1, "FAILED"), ("f[0]", 1, CANCELLED), ("f", 1, "FAILED")]


def test_a_waiting_step_is_cancelled_in_the_segment_in_which_a_sibling_fails() -> None:
    """Whether this segment or an earlier one requested the wait."""
    timer = {"id": "late", "uses": "orchestrator.wait", "with": {"for": "1h"}}
    soon = {"id": "soon", "uses": "orchestrator.wait", "with": {"for": "1m"}}
    document = pipeline({"id": "both", "branches": {"one": [timer], "two": [soon, weather("b", "X")]}})
    world = World(document, answer=unless("X"))
    assert world.run().state == "FAILED"
    assert ("both.one.late", 1, CANCELLED) in world.states()
    entry = next(entry for entry in world.journal if entry.path == "both.one.late")
    assert (entry.tool, orjson.loads(entry.input)) == ("orchestrator.wait", {"for": "1h"})
    assert world.stays == [["both.one.late", "both.two.soon"]]


def test_a_suspension_cancels_nothing() -> None:
    timer = {"id": "late", "uses": "orchestrator.wait", "with": {"for": "1h"}}
    soon = {"id": "soon", "uses": "orchestrator.wait", "with": {"for": "1m"}}
    world = World(pipeline({"id": "both", "branches": {"one": [timer], "two": [soon]}}))
    assert world.run().state == "SUCCEEDED"
    assert CANCELLED not in {state for _, _, state in world.states()}


def test_a_handled_failure_continues_without_the_cancelled_steps() -> None:
    """After a crash, CANCELLED entries do not count as finished steps."""
    both = {
        "id": "both",
        "branches": {"one": [weather("a", "Rome")], "two": [weather("b", "X")]},
        "on_error": [step("note", "orchestrator.set", input={"code": "${error.code}"})],
    }
    timer = {"id": "later", "uses": "orchestrator.wait", "with": {"for": "1h"}}
    world = World(
        pipeline(both, timer, output="${steps.note.code}"), answer=unless("X"), choose=answers_first("both.two.b")
    )
    ending = world.run()
    assert (ending.state, orjson.loads(ending.output)) == ("SUCCEEDED", "NO_CITY")
    assert [call.path for call in world.calls] == ["both.two.b"]
    assert ("both.one.a", 1, CANCELLED) in world.states()


def test_a_cancelled_call_of_an_unsafe_tool_keeps_its_start_entry() -> None:
    """Its outcome is unknown; a retry of the run determines it first."""
    document = pipeline(
        {"id": "both", "branches": {"one": [step("s", "mail.send", input={"to": "ann"})], "two": [weather("b", "X")]}}
    )
    world = World(document, answer=unless("X"), tools=[*TOOL_TEXTS, MAIL], choose=answers_first("both.two.b"))
    assert world.run().state == "FAILED"
    assert world.states() == [("both.one.s", 1, "RUNNING"), ("both.two.b", 1, "FAILED"), ("both", 1, "FAILED")]


def test_a_replay_cuts_off_what_was_cut_off() -> None:
    """A call and a timer that end only because of their sibling: not before it, and not at their own time."""
    timer = {"id": "late", "uses": "orchestrator.wait", "with": {"for": "1h"}}
    soon = {"id": "soon", "uses": "orchestrator.wait", "with": {"for": "1m"}}
    branches = {"one": [timer], "two": [soon, weather("b", "X")], "three": [weather("a", "Rome"), weather("c", "Rome")]}
    world = World(pipeline({"id": "both", "branches": branches}), answer=unless("X"))
    ending = world.run()
    answer = replayed(world)
    assert (answer.state, answer.error) == (ending.state, ending.error)
    assert told(answer.steps) == told(world.journal)
    assert ("both.one.late", 1, CANCELLED) in world.states()
