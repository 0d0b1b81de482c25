"""Within one line of steps an event ends one wait; lines side by side see the same events."""

from typing import Any

import orjson
import pytest

from pipeline_engine.interpreter.requests import Finished, Suspended
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import CrashedError, World

Log = list[tuple[int, str]]
"""Positions and topics of the events that a run sees."""


def listen(name: str, topic: str = "a", **modifiers: Any) -> dict[str, Any]:
    return step(name, "orchestrator.wait_event", input={"topic": topic, "timeout": "7d"}, **modifiers)


def ended(world: World, log: Log) -> dict[str, int | None]:
    """Runs to the end; each wait gets the first event on its topic that was not taken. The positions by path."""
    while isinstance(ending := world.segment(), Suspended):
        asked = {wait.path: wait for wait in ending.waits if wait.kind == "EVENT"}
        world._wait(ending, comes=not asked)
        for path, wait in asked.items():
            free = [at for at, topic in log if topic == wait.topic and at not in wait.taken_positions]
            entry = world.waits[path]
            if free:
                entry.state, entry.output = "SUCCEEDED", orjson.dumps({"position": free[0], "topic": wait.topic})
            else:
                error = {"code": "TIMEOUT", "message": "none", "step": path, "tool": entry.tool, "attempt": 1}
                entry.state, entry.output, entry.error = "FAILED", b"", orjson.dumps(error)
    assert isinstance(ending, Finished)
    entries = [entry for entry in world.journal if entry.tool == "orchestrator.wait_event"]
    return {entry.path: orjson.loads(entry.output)["position"] if entry.output else None for entry in entries}


def test_an_event_that_came_first_is_there_for_a_later_wait() -> None:
    """Whatever the line waited for before it: another event, a time or an answer."""
    pause = step("p", "orchestrator.wait", input={"for": "1h"})
    ask = step("q", "orchestrator.request_approval", input={"message": "?"})
    world = World(pipeline(pause, ask, listen("y", "b"), listen("x"), listen("z")))
    assert ended(world, [(1, "a"), (2, "a"), (3, "b")]) == {"y": 3, "x": 1, "z": 2}


def test_after_a_timeout_an_event_still_counts() -> None:
    world = World(pipeline(listen("y", "b", on_error="continue"), listen("x")))
    assert ended(world, [(1, "a")]) == {"y": None, "x": 1}


@pytest.mark.parametrize("max_parallel", [1, 2, 3])
def test_iterations_see_the_same_events(max_parallel: int) -> None:
    """Except those that the line before the loop took; what follows the loop gets another one."""
    loop = {"id": "l", "foreach": [1, 2], "max_parallel": max_parallel, "do": [listen("e"), listen("f")]}
    world = World(pipeline(listen("first"), loop, listen("z")))
    assert ended(world, [(at, "a") for at in range(1, 6)]) == {
        "first": 1, "l[0].e": 2, "l[0].f": 3, "l[1].e": 2, "l[1].f": 3, "z": 4,
    }  # fmt: skip


def test_a_loop_over_the_step_itself() -> None:
    world = World(pipeline({**listen("l"), "foreach": [1, 2], "max_parallel": 1}, listen("z")))
    assert ended(world, [(1, "a"), (2, "a")]) == {"l[0]": 1, "l[1]": 1, "z": 2}


def test_branches_see_the_same_events() -> None:
    branches = {"left": [listen("e"), listen("f")], "right": [listen("g", "b"), listen("h")]}
    world = World(pipeline({"id": "both", "branches": branches}, listen("z")))
    log = [(1, "a"), (2, "a"), (3, "b"), (4, "a")]
    assert ended(world, log) == {
        "both.left.e": 1, "both.right.g": 3, "both.left.f": 2, "both.right.h": 1, "z": 4,
    }  # fmt: skip


def test_a_group_and_its_handlers_are_of_the_line() -> None:
    fail = step("x", "orchestrator.fail", input={"code": "NO", "message": "no"})
    group = {"id": "g", "do": [listen("e"), fail], "on_error": [listen("h")]}
    world = World(pipeline(group, listen("z"), {**fail, "id": "y"}, on_error=[listen("w")]))
    assert ended(world, [(at, "a") for at in range(1, 6)]) == {"g.e": 1, "g.on_error.h": 2, "z": 3, "on_error.w": 4}


def test_what_a_failed_fork_took_is_taken() -> None:
    """Also by a branch that was cut off, and after a crash."""
    fail = step("x", "orchestrator.fail", input={"code": "NO", "message": "no"})
    slow = step("slow", "orchestrator.wait", input={"for": "9d"})
    fork = {
        "id": "b",
        "branches": {"left": [listen("e"), slow], "right": [listen("f", "b"), fail]},
        "on_error": [listen("h")],
    }
    world = World(pipeline(fork, listen("z")))
    assert ended(world, [(1, "a"), (2, "b"), (3, "a"), (4, "a")]) == {
        "b.left.e": 1, "b.right.f": 2, "b.on_error.h": 3, "z": 4,
    }  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("crash_at", range(6))
def test_a_crash_changes_nothing(crash_at: int, before: bool) -> None:
    """Blocks that have ended are recalled from one entry of the journal; what they took stays taken."""
    get = {"input": {"namespace": "n", "key": "k"}}
    branches = {"left": [listen("e"), step("s", "orchestrator.get_state", **get)], "right": [listen("g")]}
    loop = {"id": "l", "foreach": [1, 2], "do": [listen("i"), step("t", "orchestrator.get_state", **get)]}
    steps = [
        {"id": "both", "branches": branches},
        step("u", "orchestrator.get_state", **get),
        loop,
        listen("y"),
        listen("z"),
    ]
    world = World(pipeline(*steps), crash_at=crash_at, crash_before_answer=before)
    log = [(at, "a") for at in range(1, 8)]
    while True:
        try:
            taken = ended(world, log)
        except CrashedError:
            continue
        break
    assert taken == {"both.left.e": 1, "both.right.g": 1, "l[0].i": 2, "l[1].i": 2, "y": 3, "z": 4}


def test_a_retry_counts_what_it_copies() -> None:
    """The new run has the journal of the old one without its failures, and sees the same events."""
    fail = step("x", "orchestrator.fail", input={"code": "NO", "message": "no"}, condition="params.fail")
    branches = {"id": "b", "branches": {"left": [listen("e")], "right": [listen("f", "b")]}}
    document = pipeline(listen("d"), branches, fail, listen("z"))
    log = [(1, "a"), (2, "b"), (3, "a"), (4, "a")]
    world = World(document, params={"fail": True})
    ended(world, log)
    copied = [entry for entry in world.journal if entry.state == "SUCCEEDED"]
    again = World(document, params={"fail": False}, journal=copied)
    assert ended(again, log) == {"d": 1, "b.left.e": 3, "b.right.f": 2, "z": 4}


def test_an_event_without_a_position_is_no_event_of_the_log() -> None:
    """A mock may give any output."""
    for output in ({}, {"position": 0}, {"position": True}, {"position": "1"}, {"position": 2**63}, [1], None):
        world = World(pipeline(listen("a"), listen("b")))
        ending = world.segment()
        assert isinstance(ending, Suspended)
        world._wait(ending, comes=False)
        world.waits["a"].state, world.waits["a"].output = "SUCCEEDED", orjson.dumps(output)
        following = world.segment()
        assert isinstance(following, Suspended)
        assert not following.waits[0].taken_positions
