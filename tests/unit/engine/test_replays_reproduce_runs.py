"""A replay reproduces the journal, for any order of responses and any crash."""

from random import Random
from typing import Any

import orjson
import pytest

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.simulation.simulation import simulate
from tests.sample import FULL
from tests.unit.engine.test_crashes_lose_nothing import DOCUMENTS, world_of
from tests.unit.engine.world import NOW_US, World


def recorded(world: World) -> list[pb.Recorded]:
    """Returns the journal as the store has it: each entry with the `now` of its segment."""
    return [pb.Recorded(entry=entry, now_us=world.stay_of[entry.path, entry.attempt]) for entry in world.journal]


def replayed(world: World, remaining_ms: int = 0) -> pb.SimulateRunResponse:
    """Replays the run from its journal; without `remaining_ms` its timeout and deadline do not apply."""
    start = pb.RunStart(
        root="root",
        params=orjson.dumps(world.params),
        event=b'{"data":{"x":1}}',
        run=b'{"name":"runs/r"}',
        now_us=NOW_US,
        remaining_ms=remaining_ms,
    )
    definition = pb.Definition(pipeline=orjson.dumps(world.document), tools=world.tools)
    return simulate(pb.SimulateRunRequest(definition=definition, start=start, recorded=recorded(world), follow=True))


def told(entries: Any) -> list[tuple[str, int, str, bytes, bytes, bytes]]:
    """Returns all fields of each attempt except its times."""
    return sorted((one.path, one.attempt, one.state, one.input, one.output, one.error) for one in entries)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("seed", range(25 if FULL else 10))
def test_a_replay_reproduces_the_journal(name: str, seed: int) -> None:
    random = Random(seed)
    world = world_of(
        DOCUMENTS[name],
        crash_at=random.choice([None, random.randrange(8)]),
        crash_before_answer=random.random() < 0.5,
        choose=lambda asked: random.randrange(len(asked)),
        happens=random.choice,
    )
    ending = world.run()
    answer = replayed(world)
    assert (answer.state, answer.output, answer.error) == (ending.state, ending.output, ending.error)
    assert told(answer.steps) == told(world.journal)
    assert not answer.unanswered
    assert not answer.warnings
