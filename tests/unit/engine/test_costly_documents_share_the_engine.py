"""A run with costly expressions does not block other runs, and ends."""

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
"""CPU seconds; a fifth of it was measured."""


def measured(document: Any) -> tuple[World, float, list[Request]]:
    """Runs a document; returns the run, its longest time without a pause, and its requests."""
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
def test_one_step_cannot_block_the_engine(expression: str) -> None:
    """Thousands of costly placeholders in one input fail when their cost exceeds the limit."""
    document = pipeline(step("a", input={f"k{number}": f"${{{expression}}}" for number in range(3000)}))
    world, longest, _ = measured(document)
    assert orjson.loads(world.journal[0].error)["code"] == "PAYLOAD_TOO_LARGE"
    assert longest < LONGEST_TURN_SECONDS


def test_a_costly_run_pauses_between_steps() -> None:
    """A run of pure steps makes no request unless its expressions are costly."""
    light, _, asked = measured(pipeline(*[step(f"s{n}", input={"k": "${params.text[0]}"}) for n in range(3)]))
    assert not asked
    assert light.requests == 0
    _, longest, asked = measured(
        pipeline(*[step(f"s{n}", condition="length(params.list[?a > `3`]) > `0`") for n in range(100)])
    )
    assert len([request for request in asked if isinstance(request, Sleep)]) > 5
    assert longest < LONGEST_TURN_SECONDS


def test_the_cost_of_all_expressions_of_a_run_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if each of them is within its own limit."""
    monkeypatch.setattr(bounds, "MAX_RUN_FUEL", 2_000_000)
    twice = "${[length(to_json(params.list)), length(to_json(params.list))]}"
    loop = step("s", foreach="params.list[:900]", input={"k": twice})
    world, longest, _ = measured(pipeline(loop, on_error=[step("h")]))
    error = orjson.loads(next(entry.error for entry in world.journal if entry.path == "s"))
    assert error["code"] == "PAYLOAD_TOO_LARGE"
    assert "expressions of this run exceed" in error["message"]
    assert longest < LONGEST_TURN_SECONDS


def test_a_large_value_is_not_serialised_thousands_of_times() -> None:
    """Neither into one string nor into many."""
    for given in (
        {"k": "${params.text} " * 3000},
        {f"k{number}": "x ${params.text}" for number in range(3000)},
    ):
        world, longest, _ = measured(pipeline(step("a", input=given)))
        assert orjson.loads(world.journal[0].error)["code"] == "PAYLOAD_TOO_LARGE"
        assert longest < LONGEST_TURN_SECONDS
