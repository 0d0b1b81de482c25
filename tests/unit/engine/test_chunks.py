"""Loops of more than a thousand elements: a resumed run needs one entry of each finished chunk."""

import re
from typing import Any

import orjson
import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from tests.sample import FULL
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import CrashedError, World

WEATHER = "weather.forecast"
ITERATION = re.compile(r"f\[(\d+)\]")


def by_city(call: Call) -> Output | Failure:
    """Fails for cities that begin with X."""
    city = call.input["city"]
    return Failure("TOOL_ERROR", "no such city") if city.startswith("X") else Output({"city": city})


def world_of(cities: list[str], **more: Any) -> World:
    """Returns a run with a loop of two steps per element."""
    body = [step("w", WEATHER, input={"city": "${item}"}, retry=0), step("c", input={"c": "${steps.w.city}"})]
    loop = {"id": "f", "foreach": "params.cities", "max_parallel": 20, "tolerate": more.pop("tolerate", 0), "do": body}
    return World(pipeline(loop, output="${steps.f}"), **{"answer": by_city, "params": {"cities": cities}, **more})


def cities(count: int, *failing: int) -> list[str]:
    return [f"X{number}" if number in failing else f"c{number}" for number in range(count)]


def without_chunks(entries: list[JournalEntry]) -> list[JournalEntry]:
    """Leaves out what the store leaves out: the entries of iterations in a recorded chunk, unless they have failed."""
    chunks = {entry.path: orjson.loads(entry.output)["failed"] for entry in entries if ".chunk[" in entry.path}

    def is_needed(entry: JournalEntry) -> bool:
        match = ITERATION.match(entry.path)
        index = int(match[1]) if match else -1
        failed = chunks.get(f"f.chunk[{index // 1000}]")
        return match is None or failed is None or index in failed

    return [entry for entry in entries if is_needed(entry)]


def crashed(world: World) -> World:
    """Runs until the crash; the journal is as the next engine gets it."""
    with pytest.raises(CrashedError):
        world.segment()
    world.journal = without_chunks(world.journal)
    world.starts.clear()
    return world


def test_each_finished_chunk_is_recorded_once() -> None:
    """Except the last one, which the entry of the loop follows; a loop of a thousand elements has none."""
    for count, chunks in ((1000, 0), (1001, 1), (2000, 1), (2500, 2)):
        world = world_of(cities(count))
        assert len(orjson.loads(world.run().output)) == count
        paths = [entry.path for entry in world.journal if "chunk" in entry.path]
        assert paths == [f"f.chunk[{number}]" for number in range(chunks)]


def test_a_chunk_has_the_outputs_and_the_failures_in_it() -> None:
    world = world_of(cities(1500, 3, 1200), tolerate=2)
    world.run()
    (entry,) = [entry for entry in world.journal if entry.path == "f.chunk[0]"]
    chunk = orjson.loads(entry.output)
    assert (entry.state, entry.tool, chunk["failed"], len(chunk["outputs"])) == ("SUCCEEDED", "", [3], 1000)
    assert chunk["outputs"][2:5] == [{"c": "c2"}, None, {"c": "c4"}]


@pytest.mark.parametrize("crash_at", [900, 1150, 2000, 2300] if FULL else [900, 1150])
def test_a_resumed_run_continues_without_the_entries_of_finished_chunks(crash_at: int) -> None:
    """Its journal is bounded, the result is the same, and no recorded iteration is called again."""
    names = cities(2500, 3, 1200)
    wanted = world_of(names, tolerate=2).run()
    world = crashed(world_of(names, tolerate=2, crash_at=crash_at))
    assert len(world.journal) <= 2 * 1100
    recorded = {entry.path for entry in world.journal}
    done = {f"root/{path}" for path in recorded}
    before = len(world.calls)
    world.crash_at = None
    ending = world.run()
    assert (ending.state, ending.output) == ("SUCCEEDED", wanted.output)
    repeated = {call.idempotency_key for call in world.calls[before:]} & done
    assert not repeated
    assert 2500 <= len(world.calls) <= 2540


def test_a_retry_of_a_failed_loop_repeats_only_what_failed() -> None:
    """Also iterations of finished chunks that were tolerated."""
    names = cities(2100, 3, 2050)
    world = world_of(names, tolerate=1)
    assert world.run().state == "FAILED"
    kept = without_chunks([entry for entry in world.journal if entry.state == "SUCCEEDED"])
    again = world_of(names, tolerate=1, journal=kept, answer=lambda call: Output({"city": call.input["city"].lower()}))
    ending = again.run()
    assert ending.state == "SUCCEEDED"
    assert len(orjson.loads(ending.output)) == 2100
    called = [call.idempotency_key for call in again.calls]
    assert "root/f[3].w" in called
    assert all(int(ITERATION.search(key)[1]) >= 2000 for key in called if key != "root/f[3].w")  # type: ignore[index]


def test_a_chunk_of_a_longer_list_is_used_as_far_as_it_goes() -> None:
    """A retry with another version of the task may have a shorter list."""
    world = crashed(world_of(cities(2500), crash_at=1300))
    shorter = world_of(cities(1500), journal=world.journal)
    assert len(orjson.loads(shorter.run().output)) == 1500
    assert all(int(ITERATION.search(call.idempotency_key)[1]) >= 1000 for call in shorter.calls)  # type: ignore[index]


def test_outputs_of_recorded_chunks_count_for_the_limit() -> None:
    """1 MiB for the outputs of a loop together."""
    big = world_of(cities(1200), answer=lambda _: Output({"city": "x" * 900}), crash_at=1150)
    resumed = crashed(big)
    resumed.crash_at = None
    ending = resumed.run()
    assert ending.state == "FAILED"
    assert orjson.loads(ending.error)["code"] == "PAYLOAD_TOO_LARGE"
