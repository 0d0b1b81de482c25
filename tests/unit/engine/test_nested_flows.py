"""Random nestings of all constructs: valid, unchanged by crashes, and reproduced by replays."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from tests.sample import amount
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.test_replays_reproduce_runs import replayed, told
from tests.unit.engine.world import World

SEEDS = range(amount("ORDINAUT_NESTED_FLOWS", 25, 300))
LIST = "calendar.list_events"
ROUND = re.compile(r"\[(\d+)\]")


def answer(call: Call) -> Output | Failure:
    """Depends on the call only: `n` is the last index of its path; about a fourth of all calls of `b` steps fail."""
    digest = hashlib.blake2b(f"{call.idempotency_key}".encode()).digest()[0]
    if call.input["start"] == "bad" and digest < 64:
        return Failure("TOOL_ERROR", "no", details={"happened": False})
    indices = ROUND.findall(call.path)
    return Output({"events": [], "n": int(indices[-1]) if indices else 0, "even": digest % 2 == 0})


class Documents:
    """Builds random lists of steps; ids are unique in a document."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.ids = (f"s{number}" for number in count())

    def steps(self, depth: int) -> list[dict[str, Any]]:
        return [self.step(depth) for _ in range(self.random.randint(1, 3))]

    def step(self, depth: int) -> dict[str, Any]:
        """A call, an effect, a wait, a group, branches or a loop, with random modifiers."""
        one = next(self.ids)
        kind = self.random.choice(["call", "bad", "emit", "set", "wait", *["do", "branches"] * (depth > 0)])
        kinds: dict[str, Callable[[], dict[str, Any]]] = {
            "call": lambda: step(one, LIST, input={"start": "${now}"}, retry=0),
            "bad": lambda: step(one, LIST, input={"start": "bad"}, retry=0, on_error="continue"),
            "emit": lambda: step(one, "orchestrator.emit", input={"topic": "t"}),
            "set": lambda: step(one, input={"n": 1, "even": True}),
            "wait": lambda: step(one, "orchestrator.wait", input={"for": "1m"}),
            "do": lambda: {"id": one, "do": self.steps(depth - 1)},
            "branches": lambda: {"id": one, "branches": {"l": self.steps(depth - 1), "r": self.steps(depth - 1)}},
        }
        made = kinds[kind]()
        if self.random.random() < 0.3:
            made["if"] = self.random.choice([True, False, "params.yes", "params.no", "now > '2027-01-15T08:01:30Z'"])
            if self.random.random() < 0.7:
                made["else"] = (
                    self.steps(depth - 1) if depth > 0 else [step(next(self.ids), LIST, input={"start": "x"})]
                )
        if self.random.random() < 0.3:
            made["foreach"] = self.random.choice([[], [1], [1, 2, 3], "params.list"])
            made["max_parallel"] = self.random.choice([1, 2, 10])
            if self.random.random() < 0.5:
                made["tolerate"] = self.random.choice(["100%", 100])
        if self.random.random() < 0.25:
            result = f"steps.{one}.n == 1" if kind in {"call", "bad", "set"} else f"steps.{one}"
            made["until"] = self.random.choice([result, "now > '2027-01-15T08:02:30Z'"])
            made["every"] = self.random.choice(["1m", "10s"])
            made["max_rounds"] = self.random.choice([1, 2, 3])
            made["on_error"] = self.random.choice(["continue", [step(next(self.ids), LIST, input={"start": "h"})]])
        return made


def world_of(seed: int, **more: Any) -> World:
    steps = Documents(Random(seed)).steps(3)
    document = pipeline(*steps, output={one["id"]: f"${{steps.{one['id']}}}" for one in steps})
    params = {"yes": True, "no": None, "list": ["a", "b"]}
    assert not checked(document, params=params).violations
    return World(document, answer=answer, params=params, **more)


@pytest.mark.parametrize("seed", SEEDS)
def test_crashes_change_nothing(seed: int) -> None:
    """At several requests of each document."""
    quiet = world_of(seed)
    wanted = quiet.run()
    places = Random(seed).sample(range(quiet.requests), min(4, quiet.requests))
    for place in places:
        world = world_of(seed, crash_at=place, crash_before_answer=place % 2 == 0)
        ending = world.run()
        assert (ending.state, ending.output, ending.error) == (wanted.state, wanted.output, wanted.error)
        assert max(Counter((entry.path, entry.attempt) for entry in world.journal).values()) == 1
        assert sorted(world.effects) == sorted(quiet.effects), "effects are exactly once"
        assert {call.idempotency_key for call in world.calls} == {call.idempotency_key for call in quiet.calls}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replay_reproduces_the_journal(seed: int) -> None:
    world = world_of(seed)
    ending = world.run()
    replay = replayed(world)
    assert (replay.state, replay.output, replay.error) == (ending.state, ending.output, ending.error)
    assert told(replay.steps) == told(world.journal)
    assert not replay.unanswered
