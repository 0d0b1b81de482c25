"""`orchestrator.wait` gives the engine back, ends when it should, and begins once, whatever crashes."""

from datetime import datetime
from typing import Any

import orjson
import pytest

from pipeline_engine.requests import Delayed
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, error_of

WAIT = "orchestrator.wait"
LIST = "calendar.list_events"


def wait(step_id: str, **given: Any) -> dict[str, Any]:
    return step(step_id, WAIT, input={key.rstrip("_"): value for key, value in given.items()})


def test_a_long_wait_leaves_the_engine_with_what_was_done() -> None:
    """The delay is the wait; its end is in the journal, and the run goes on behind it."""
    document = pipeline(
        step("a", LIST, input={"start": "x"}), wait("w", for_="3d"), step("b"), output="${steps.w.until}"
    )
    world = World(document)
    ending = world.segment()
    assert isinstance(ending, Delayed)
    assert ending.delay_ms == 3 * 86_400_000
    assert [entry.path for entry in ending.entries] == ["a", "w"]
    world.clock.seconds += 3 * 86_400
    until = orjson.loads(world.run().output)
    assert datetime.fromisoformat(until).timestamp() == pytest.approx(world.clock.now().timestamp(), abs=0.01)
    assert len(world.calls) == 1


def test_who_is_woken_early_waits_for_the_rest() -> None:
    """After a crash, or because a sibling went on."""
    world = World(pipeline(wait("w", for_="1h")))
    world.segment()
    world.clock.seconds += 600
    again = world.segment()
    assert isinstance(again, Delayed)
    assert again.delay_ms == pytest.approx(3_000_000, abs=50)
    assert not again.entries, "it began once"


def test_short_waits_stay_in_the_engine() -> None:
    """And what has passed is over at once."""
    world = World(pipeline(wait("w", for_="2s"), wait("past", until="2001-01-01T00:00:00Z"), step("b")))
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [pytest.approx(2.0)]
    assert [path for path, _, _ in world.states()] == ["w", "past", "b"]


def test_waits_side_by_side_end_each_in_its_time() -> None:
    """The run comes back for the first, and again for the second."""
    branches = {
        "short": [wait("s", for_="1h"), step("call", LIST, input={"start": "x"})],
        "long": [wait("l", for_="3h"), step("other", LIST, input={"start": "y"})],
    }
    world = World(pipeline({"id": "both", "branches": branches}))
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [pytest.approx(3600.0, abs=0.1), pytest.approx(7200.0, abs=0.1)]
    assert len(world.calls) == 2


def test_a_loop_can_wait() -> None:
    """Each iteration for itself, also one after the other."""
    loop = {"id": "l", "foreach": [10, 20], "max_parallel": 1, "do": [wait("w", for_="${item}m")]}
    world = World(pipeline(loop))
    assert world.run().state == "SUCCEEDED"
    assert sum(world.slept) == pytest.approx(1800.0, abs=0.1)


@pytest.mark.parametrize(("given", "pointer"), [({"for": "${params.x}"}, "/for"), ({"until": "${params.x}"}, "/until")])
def test_times_that_cannot_be_read_fail_their_step(given: dict[str, str], pointer: str) -> None:
    """With a pointer to them."""
    error = error_of(World(pipeline(step("w", WAIT, input=given)), params={"x": "soon"}).run())
    assert (error["code"], error["pointer"], error["step"]) == ("VALIDATION_INPUT", pointer, "w")


def test_a_wait_does_not_outlast_its_run() -> None:
    """The run's time is up in the middle of it."""
    world = World(pipeline(wait("w", for_="3d"), step("b")), remaining_ms=60_000)
    ending = world.segment()
    assert isinstance(ending, Delayed)
    assert ending.delay_ms == 60_000
    world.clock.seconds += 60
    world.remaining_ms = 1
    world.clock.seconds += 1
    error = error_of(world.run())
    assert error["code"] == "TIMEOUT"
    assert sum(world.slept) < 1
