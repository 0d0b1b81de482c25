"""Large runs reach their engine: no frame is larger than the receiver accepts."""

import asyncio
from contextlib import suppress
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, RunStart, WorkerFrame
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from worker.engine.dispatch import MAX_RESULTS_BYTES, limit_results
from worker.engine.stream import EngineStream

MIB = 1024 * 1024


class Call:
    """The engine's end of a stream; it closes after a number of runs."""

    def __init__(self, runs: int) -> None:
        self.remaining = runs
        self.frames: list[WorkerFrame] = []

    async def write(self, frame: WorkerFrame) -> None:
        self.frames.append(frame)
        self.remaining -= len(frame.starts)
        if self.remaining <= 0:
            raise asyncio.CancelledError


async def sent(starts: list[RunStart]) -> list[WorkerFrame]:
    async def ignored(*_arguments: Any) -> None:
        """Does nothing."""

    stream = EngineStream("127.0.0.1:1", "", lambda *_: None, ignored)
    for start in starts:
        stream.start_run(Definition(hash=start.hash, pipeline=b"{}"), start)
    call = Call(len(starts))
    with suppress(asyncio.CancelledError):
        await stream._send(call)  # type: ignore[arg-type]  # it writes
    return call.frames


async def test_small_runs_share_a_frame_and_large_ones_do_not() -> None:
    """In order, each after its definition."""
    small = [RunStart(handle=handle, hash="a", params=b"{}") for handle in range(500)]
    assert len(await sent(small)) == 1
    journal = [JournalEntry(path=f"s{n}", output=b"x" * MIB) for n in range(20)]
    large = [RunStart(handle=handle, hash="b", journal=journal) for handle in range(8)]
    frames = await sent([*small, *large])
    assert [start.handle for frame in frames for start in frame.starts] == [*range(500), *range(8)]
    assert max(frame.ByteSize() for frame in frames) < MAX_INTERNAL_MESSAGE_BYTES
    definitions: set[str] = set()
    for frame in frames:
        definitions |= {definition.hash for definition in frame.definitions}
        assert {start.hash for start in frame.starts} <= definitions


def test_waits_fail_whose_results_exceed_the_limit_together() -> None:
    """The same waits in any order of rows, so that every claim sees the same results."""
    count = MAX_RESULTS_BYTES // MIB + 2
    for order in (range(count), reversed(range(count))):
        entries = [
            JournalEntry(path=f"w[{n:02}]", tool="t.t", attempt=1, state="SUCCEEDED", output=b"x" * MIB) for n in order
        ]
        limit_results(entries)
        failed = {entry.path: orjson.loads(entry.error)["code"] for entry in entries if entry.state == "FAILED"}
        assert failed == dict.fromkeys([f"w[{count - 2:02}]", f"w[{count - 1:02}]"], "PAYLOAD_TOO_LARGE")
