"""Runs that hold much reach their engine all the same: no message is larger than the receiver takes."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, RunStart, WorkerFrame
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from worker.engine.dispatch import RESULTS_MAX_BYTES, bound_results
from worker.engine.stream import EngineStream

MIB = 1024 * 1024


class Call:
    """The engine's end of a stream; it hangs up after so many runs."""

    def __init__(self, runs: int) -> None:
        self.left = runs
        self.frames: list[WorkerFrame] = []

    async def write(self, frame: WorkerFrame) -> None:
        self.frames.append(frame)
        self.left -= len(frame.starts)
        if self.left <= 0:
            raise asyncio.CancelledError


async def sent(starts: list[RunStart]) -> list[WorkerFrame]:
    async def ignored(*_arguments: Any) -> None:
        """Nobody listens."""

    stream = EngineStream("127.0.0.1:1", "", lambda *_: None, ignored)
    for start in starts:
        stream.start_run(Definition(hash=start.hash, pipeline=b"{}"), start)
    call = Call(len(starts))
    with suppress(asyncio.CancelledError):
        await stream._send(call)  # type: ignore[arg-type]  # it writes
    return call.frames


async def test_small_runs_share_a_frame_and_large_ones_do_not() -> None:
    """In their order, each behind its definition."""
    small = [RunStart(handle=handle, hash="a", params=b"{}") for handle in range(500)]
    assert len(await sent(small)) == 1
    journal = [JournalEntry(path=f"s{n}", output=b"x" * MIB) for n in range(20)]
    large = [RunStart(handle=handle, hash="b", journal=journal) for handle in range(8)]
    frames = await sent([*small, *large])
    assert [start.handle for frame in frames for start in frame.starts] == [*range(500), *range(8)]
    assert max(frame.ByteSize() for frame in frames) < MAX_INTERNAL_MESSAGE_BYTES
    known: set[str] = set()
    for frame in frames:
        known |= {definition.hash for definition in frame.definitions}
        assert {start.hash for start in frame.starts} <= known


def test_results_that_are_too_large_together_fail_their_waits() -> None:
    """The same ones in whatever order they are read, so that another claim does not see it otherwise."""
    count = RESULTS_MAX_BYTES // MIB + 2
    for order in (range(count), reversed(range(count))):
        entries = [
            JournalEntry(path=f"w[{n:02}]", tool="t.t", attempt=1, state="SUCCEEDED", output=b"x" * MIB) for n in order
        ]
        bound_results(entries)
        failed = {entry.path: orjson.loads(entry.error)["code"] for entry in entries if entry.state == "FAILED"}
        assert failed == dict.fromkeys([f"w[{count - 2:02}]", f"w[{count - 1:02}]"], "PAYLOAD_TOO_LARGE")
