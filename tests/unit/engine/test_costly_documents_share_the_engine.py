"""However heavy the expressions of a run are together, other runs get their turn and the run comes to an end."""

import time
from typing import Any

import orjson
import pytest

from ordinaut.expressions import bounds
from pipeline_engine.interpreter.requests import Request, Sleep
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World

PARAMS = {"list": [{"a": n, "b": "x" * 20} for n in range(5000)], "text": "x" * 900_000}
HEAVY = [
    "params.list[*].a",
    "params.list[?a > `3`].b",
    "sort_by(params.list, &a)",
    "to_json(params.list)",
    "hash(params.list)",
    "[params.list]",
    "length(split(params.text, 'x'))",
    "default(params.none, params.list)",
]
LONGEST_TURN_SECONDS = 0.5
"""Of CPU; what is measured is a fifth of it."""


def measured(document: Any) -> tuple[World, float, list[Request]]:
    """The run, its longest time without a pause, and what it asked for."""
    world = World(document, params=PARAMS)
    asked: list[Request] = []
    longest, since = 0.0, time.thread_time()
    inner = world._serve

    def serve(request: Request) -> Any:
        nonlocal longest, since
        longest = max(longest, time.thread_time() - since)
        asked.append(request)
        answer = inner(request)
        since = time.thread_time()
        return answer

    world._serve = serve  # type: ignore[method-assign]
    world.run()
    return world, longest, asked


@pytest.mark.parametrize("expression", HEAVY)
def test_one_step_cannot_hold_the_engine(expression: str) -> None:
    """Thousands of heavy placeholders in one input are refused as soon as they have cost too much."""
    document = pipeline(step("a", input={f"k{number}": f"${{{expression}}}" for number in range(3000)}))
    world, longest, _ = measured(document)
    assert orjson.loads(world.journal[0].error)["code"] == "PAYLOAD_TOO_LARGE"
    assert longest < LONGEST_TURN_SECONDS


def test_many_steps_pause_between_each_other() -> None:
    """A pure pipeline asks for nothing, unless it has become heavy."""
    light, _, asked = measured(pipeline(*[step(f"s{n}", input={"k": "${params.text[0]}"}) for n in range(3)]))
    assert not asked
    assert light.requests == 0
    _, longest, asked = measured(
        pipeline(*[step(f"s{n}", condition="length(params.list[?a > `3`]) > `0`") for n in range(100)])
    )
    assert len([request for request in asked if isinstance(request, Sleep)]) > 5
    assert longest < LONGEST_TURN_SECONDS


def test_the_expressions_of_a_run_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails once they have cost too much, also when every one of them is within its own bounds."""
    monkeypatch.setattr(bounds, "MAX_RUN_FUEL", 2_000_000)
    twice = "${[length(to_json(params.list)), length(to_json(params.list))]}"
    loop = step("s", foreach="params.list[:900]", input={"k": twice})
    world, longest, _ = measured(pipeline(loop, on_error=[step("h")]))
    error = orjson.loads(next(entry.error for entry in world.journal if entry.path == "s"))
    assert error["code"] == "PAYLOAD_TOO_LARGE"
    assert "expressions of this run exceed" in error["message"]
    assert longest < LONGEST_TURN_SECONDS


def test_a_large_value_is_not_written_thousands_of_times() -> None:
    """Neither into one text nor into many."""
    for given in (
        {"k": "${params.text} " * 3000},
        {f"k{number}": "x ${params.text}" for number in range(3000)},
    ):
        world, longest, _ = measured(pipeline(step("a", input=given)))
        assert orjson.loads(world.journal[0].error)["code"] == "PAYLOAD_TOO_LARGE"
        assert longest < LONGEST_TURN_SECONDS
