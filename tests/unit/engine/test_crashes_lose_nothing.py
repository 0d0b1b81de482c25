"""After an engine crash the run has the same result, repeats no finished step, and keeps its idempotency keys."""

from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest

from pipeline_engine.interpreter.requests import Call, Finished, Output
from tests.sample import FULL
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, failing

LIST = "calendar.list_events"


def everything() -> dict[str, Any]:
    """Returns a pipeline with each kind of step."""
    return pipeline(
        step("set", input={"x": 1}),
        step("first", LIST, input={"start": "${now}"}),
        step("skipped", LIST, input={"start": "x"}, condition="steps.set.x == 2"),
        step("put", "orchestrator.put_state", input={"namespace": "n", "key": "k", "value": "${steps.first}"}),
        step("flaky", "weather.forecast", input={"city": "B"}),
        step(
            "broken",
            "weather.forecast",
            input={"city": "never"},
            retry=1,
            on_error=[step("note", LIST, input={"start": "${error.code}"})],
        ),
        step("tell", "orchestrator.emit", input={"topic": "t", "data": {"code": "${steps.broken.error.code}"}}),
        step("last", LIST, input={"start": "${steps.put.revision}" + "!"}),
        output={"n": "${length(steps.last.events)}"},
    )


def failing_document() -> dict[str, Any]:
    """Returns a pipeline that fails and emits an event."""
    return pipeline(
        step("a", LIST, input={"start": "x"}),
        step("b", "orchestrator.fail", input={"code": "NO", "message": "m"}),
        on_error=[
            step("h", LIST, input={"start": "${error.code}"}),
            step("tell", "orchestrator.emit", input={"topic": "t"}),
        ],
    )


def world_of(document: dict[str, Any], **more: Any) -> World:
    """Returns a run whose flaky tool fails once and whose broken tool fails always."""
    flaky = failing(1)
    broken = failing(10**6)

    def answer(call: Call) -> Any:
        if call.tool.name != "weather.forecast" or call.input["city"] in {"good", "fine"}:
            return Output({"events": ["1"]})
        return broken(call) if call.input["city"] == "never" else flaky(call)

    return World(document, answer=answer, **more)


def summary(world: World) -> list[tuple[str, str]]:
    """Returns the last state of each step."""
    return sorted({entry.path: entry.state for entry in world.journal}.items())


def boundaries_of(document: dict[str, Any]) -> int:
    """Returns the number of requests of a run."""
    world = world_of(document)
    assert world.run().state == ("FAILED" if "on_error" in document else "SUCCEEDED")
    return world.requests


def spread_document() -> dict[str, Any]:
    """Returns nested loops and branches, with a failure that cancels its siblings, and its handler."""
    city = {"city": "${item}"}
    read = step("w", LIST, input={"start": "x"})
    emit = step("note", "orchestrator.emit", input={"topic": "t", "data": {"n": "${index}"}})
    left = [step("l", LIST, input={"start": "x"}), step("m", LIST, input={"start": "${steps.l.events[0]}!"})]
    right = [{"id": "inner", "do": [step("r", "weather.forecast", input={"city": "flaky"})]}]
    handler = step("h", LIST, input={"start": "${error.step}"})
    fallible = step("k", "weather.forecast", input=city, retry=0)
    cities = ["good", "never", "fine"]
    return pipeline(
        {"id": "loop", "foreach": ["A", "B", "C"], "max_parallel": 2, "do": [read, emit]},
        step("each", LIST, input={"start": "${item}"}, foreach="['x', 'y']"),
        {"id": "both", "branches": {"left": left, "right": right}},
        step("ends", "weather.forecast", input=city, foreach=cities, retry=0, on_error=[handler]),
        {"id": "kept", "foreach": ["never", "good"], "on_error": "continue", "do": [fallible]},
        output={"l": "${length(steps.loop)}", "e": "${steps.ends.error.step}", "k": "${steps.kept[0].error.code}"},
    )


def waiting_document() -> dict[str, Any]:
    """Returns waits in sequence, in branches and in a loop, with calls and effects between them."""
    hour = {"for": "1h"}
    until = step("until", "orchestrator.wait", input={"until": "2030-01-01T00:00:00Z"})
    reply = step("reply", "orchestrator.wait_event", input={"topic": "reply.*", "timeout": "7d"})
    return pipeline(
        step("ask", "orchestrator.emit", input={"topic": "t", "data": {"at": "${now}"}}),
        step("pause", "orchestrator.wait", input=hour, condition="now < '2027-01-15T08:00:01Z'"),
        {"id": "both", "branches": {"left": [until, step("l", LIST, input={"start": "x"})], "right": [reply]}},
        {"id": "each", "foreach": [1, 2, 3], "do": [step("nap", "orchestrator.wait", input=hour)]},
        step("last", "orchestrator.emit", input={"topic": "t"}),
        output={"n": "${length(steps.each)}", "r": "${steps.both.right.until}"},
    )


def alternatives_document() -> dict[str, Any]:
    """Returns `else` with calls, effects and waits: of a step, a group, a loop, and inside branches and iterations."""
    read = step("no", LIST, input={"start": "x"})
    other = [
        step("ask", LIST, input={"start": "${now}"}),
        step("nap", "orchestrator.wait", input={"for": "1h"}),
        step("told", "orchestrator.emit", input={"topic": "t", "data": {"a": "${steps.ask}"}}),
    ]
    inner = step("odd", LIST, input={"start": "${item}"}, condition="index == to_number('1')")
    inner["else"] = [step("even", "orchestrator.emit", input={"topic": "${item}"})]
    broken = step("broken", LIST, input={"start": "x"}, condition=False, on_error="continue")
    broken["else"] = [step("never", "weather.forecast", input={"city": "never"}, retry=0)]
    return pipeline(
        {**step("a", LIST, input={"start": "x"}, condition="params.x == 'y'"), "else": other},
        {"id": "b", "if": False, "do": [read], "else": [{"id": "both", "branches": {"l": [step("l", LIST, input=X)]}}]},
        {
            "id": "f",
            "branches": {"one": [{"id": "each", "foreach": ["A", "B", "C"], "do": [inner]}], "two": [broken]},
        },
        {**step("k", foreach=["A"], condition="params.x == 'y'"), "else": [step("last", LIST, input=X)]},
        output={
            "a": "${steps.a}",
            "b": "${steps.both}",
            "f": "${length(steps.f.one)}",
            "e": "${steps.f.two.error.code}",
        },
    )


def rounds_document() -> dict[str, Any]:
    """Returns `until` of a call, of a group with an effect in a loop, of branches, and with a timeout."""
    loop = {"every": "1m", "max_rounds": 2}
    note = step("note", "orchestrator.emit", input={"topic": "t", "data": {"before": "${steps.job}"}})
    wait = step("w", "orchestrator.wait", input={"for": "5s"})
    return pipeline(
        step("poll", LIST, input={"start": "x"}, until="now > '2027-01-15T08:00:30Z'", **loop),
        {
            "id": "each",
            "foreach": ["A", "B"],
            "do": [
                {"id": "job", "do": [step("r", LIST, input={"start": "${item}"}), note], "until": LATER, **loop},
                step("after", LIST, input={"start": "${item}"}),
            ],
        },
        {
            **step("both", "orchestrator.wait", input={"for": "5s"}, foreach=[1, 2]),
            "until": "now > '2027-01-15T09:00:00Z'",
            **loop,
            "on_error": "continue",
            "tolerate": 1,
        },
        {"id": "fork", "branches": {"l": [wait], "r": [step("r2", LIST, input=X)]}, "until": "steps.fork.l", **loop},
        step("late", LIST, input=X, until="steps.late.none", every="1m", timeout="150s", on_error="continue"),
        output={"n": "${length(steps.each)}", "late": "${steps.late.error.details.rounds}"},
    )


def tolerant_document() -> dict[str, Any]:
    """Returns loops with failed iterations below and above what they tolerate."""
    fallible = {"city": "${item}"}
    handled = step("h", LIST, input={"start": "${error.code}"})
    return pipeline(
        step(
            "few",
            "weather.forecast",
            input=fallible,
            foreach=["good", "never", "fine"],
            retry=1,
            tolerate="34%",
            max_parallel=1,
        ),
        {
            "id": "many",
            "foreach": ["never", "good", "never", "fine"],
            "max_parallel": 1,
            "tolerate": 1,
            "do": [step("n", LIST, input=X), step("m", "weather.forecast", input=fallible, retry=0)],
            "on_error": [handled],
        },
        step("none", "weather.forecast", input=fallible, foreach=[], tolerate="0%"),
        step("told", "orchestrator.emit", input={"topic": "t"}),
        output={"f": "${steps.few[1].error.code}", "m": "${steps.many.error.step}"},
    )


X = {"start": "x"}
LATER = "now > '2027-01-15T08:01:30Z'"
DOCUMENTS = {
    "alternatives": alternatives_document(),
    "rounds": rounds_document(),
    "tolerant": tolerant_document(),
    "everything": everything(),
    "failing": failing_document(),
    "spread": spread_document(),
    "waiting": waiting_document(),
}
BOUNDARIES = [
    (name, place, before)
    for name, document in DOCUMENTS.items()
    for place in range(boundaries_of(document))
    for before in (True, False)
]


@cache
def uninterrupted(name: str) -> tuple[World, Finished]:
    """The run in which nothing crashes, and its end; only read."""
    world = world_of(DOCUMENTS[name])
    return world, world.run()


@pytest.mark.parametrize(("name", "place", "before"), BOUNDARIES)
def test_a_crash_at_any_request_changes_nothing(name: str, place: int, before: bool) -> None:
    """Before the request is performed, and after it but before the engine has the response."""
    quiet, wanted = uninterrupted(name)
    world = world_of(DOCUMENTS[name], crash_at=place, crash_before_answer=before)
    ending = world.run()
    assert (ending.state, ending.output, ending.error) == (wanted.state, wanted.output, wanted.error)
    assert summary(world) == summary(quiet)
    recorded = Counter((entry.path, entry.attempt) for entry in world.journal)
    assert max(recorded.values()) == 1, "no attempt is recorded twice"
    assert max(Counter(world.effects).values()) == 1, "effects are exactly once"
    calls = Counter(call.idempotency_key for call in world.calls)
    usual = Counter(call.idempotency_key for call in quiet.calls)
    assert calls.keys() == usual.keys()
    assert sum((calls - usual).values()) <= 2, "only what was not durable is called again"


@pytest.mark.parametrize("seed", range(60 if FULL else 20))
def test_response_order_and_crashes_change_nothing(seed: int) -> None:
    """Concurrent steps may end in any order, and in another one after a crash."""
    random = Random(seed)
    quiet, wanted = uninterrupted("spread")
    world = world_of(
        DOCUMENTS["spread"],
        crash_at=random.randrange(quiet.requests),
        crash_before_answer=random.random() < 0.5,
        choose=lambda asked: random.randrange(len(asked)),
    )
    ending = world.run()
    assert (ending.state, ending.output) == (wanted.state, wanted.output)
    recorded = Counter((entry.path, entry.attempt) for entry in world.journal)
    assert max(recorded.values()) == 1
    assert sorted(world.effects) == sorted(quiet.effects), "effects are exactly once"
