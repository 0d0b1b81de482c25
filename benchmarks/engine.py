"""CPU of the pipeline engine per run, over the real stream; journal entries are acknowledged at once.

`python -m benchmarks.engine` starts an engine process, feeds it, and reads the engine's own CPU time.
"""

import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from benchmarks.targets import Row
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import PipelineEngineServiceStub
from ordinaut.rpc.channel import internal_channel

RUNS = 40_000
ROUNDS = 3
BUILT_IN = [
    orjson.dumps(tool)
    for tool in orjson.loads(resources.files("ordinaut.store").joinpath("builtin_tools.json").read_bytes())
]
SET = {"uses": "orchestrator.set", "with": {"city": "${params.city}", "text": "a text"}}
EFFECT = {"uses": "orchestrator.get_state", "with": {"namespace": "bench", "key": "${params.city}"}}


def definition(name: str, step: Mapping[str, object], steps: int) -> pb.Definition:
    """A pipeline of equal steps."""
    document = {"version": 1, "steps": [{"id": f"s{number}", **step} for number in range(steps)]}
    return pb.Definition(hash=name, pipeline=orjson.dumps(document), tools=BUILT_IN)


class Feeder:
    """A worker without a database."""

    def __init__(self, plan: pb.Definition, runs: int) -> None:
        self.left = runs
        self.to_start = runs
        self._handle = 0
        self._frames: asyncio.Queue[pb.WorkerFrame | None] = asyncio.Queue()
        self._frames.put_nowait(pb.WorkerFrame(definitions=[plan]))
        self._hash = plan.hash

    async def frames(self) -> AsyncIterator[pb.WorkerFrame]:
        """What the worker says."""
        while (frame := await self._frames.get()) is not None:
            yield frame

    def answer(self, frame: pb.EngineFrame) -> None:
        """Commits everything and starts as many runs as there is credit for."""
        reply = pb.WorkerFrame()
        for finished in frame.finished:
            reply.committed.add(handle=finished.handle)
        for effect in frame.effects:
            result = pb.JournalEntry(
                path=effect.step.path, attempt=1, state="SUCCEEDED", output=b'{"value":1,"revision":1}'
            )
            reply.committed.append(pb.StepCommitted(handle=effect.handle, result=result))
        self.left -= len(frame.runs)
        starting = min(frame.credit, self.to_start)
        self.to_start -= starting
        for _ in range(starting):
            self._handle += 1
            reply.starts.add(
                handle=self._handle,
                hash=self._hash,
                root=f"0198c0de-0000-7000-8000-000000000000/1/cron:{self._handle}",
                params=b'{"city":"Berlin"}',
                run=b'{"name":"runs/x","task":"tasks/t","kind":"SCHEDULED","claims":1}',
                now_us=1_800_000_000_000_000,
                remaining_ms=86_400_000,
            )
        self._frames.put_nowait(reply if self.left else None)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, of Linux's own account."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(stub: Any, engine: int, plan: pb.Definition, runs: int) -> float:
    """The engine's CPU time of one run in µs."""
    feeder = Feeder(plan, runs)
    before = cpu_seconds(engine)
    async for frame in stub.Execute(feeder.frames()):
        feeder.answer(frame)
        if not feeder.left:
            break
    return (cpu_seconds(engine) - before) / runs * 1_000_000


async def rows(_folder: Path | None = None) -> list[Row]:
    """Medians of what a run costs the engine, by kind of pipeline."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pipeline_engine"),
        cwd=Path(__file__).parent.parent,
        env={
            **os.environ,
            "ORDINAUT_ENGINE_LISTEN": "127.0.0.1:0",
            "ORDINAUT_ENGINE_METRICS_PORT": "0",
            "ORDINAUT_LOG_LEVEL": "warning",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the engine has no standard output")
        port = json.loads(await process.stdout.readline())["ports"]["grpc"]
        async with internal_channel(f"127.0.0.1:{port}") as channel:
            return await medians(PipelineEngineServiceStub(channel), process.pid)
    finally:
        process.terminate()
        await process.wait()


async def medians(stub: Any, engine: int) -> list[Row]:
    """One figure for each kind of pipeline."""
    cases = [
        ("one step, set", definition("set-1", SET, 1), RUNS),
        ("five steps, set", definition("set-5", SET, 5), RUNS),
        ("one step, journaled first", definition("effect-1", EFFECT, 1), RUNS),
        ("five steps, each journaled first", definition("effect-5", EFFECT, 5), RUNS // 4),
    ]
    found = []
    for name, plan, runs in cases:
        spent = [await measure(stub, engine, plan, runs) for _ in range(ROUNDS)]
        found.append(Row(f"CPU of the engine for a run: {name}", statistics.median(spent), "µs"))
    return found


if __name__ == "__main__":
    for row in asyncio.run(rows()):
        print(f"{row.what:70} {row.value:7.1f} {row.unit}")
