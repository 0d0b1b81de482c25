"""CPU of the pipeline engine per run, over the real stream; journal entries are acknowledged at once.

Starts an engine process, sends it runs as a worker without a database would, and reads its CPU time.
"""

import asyncio
import json
import os
import statistics
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from benchmarks.harness.targets import Row
from benchmarks.usage import cpu_seconds
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
    """A pipeline with `steps` equal steps."""
    document = {"version": 1, "steps": [{"id": f"s{number}", **step} for number in range(steps)]}
    return pb.Definition(hash=name, pipeline=orjson.dumps(document), tools=BUILT_IN)


class Feeder:
    """A worker without a database: starts `runs` runs of one definition and commits what they send."""

    def __init__(self, plan: pb.Definition, runs: int) -> None:
        self.unfinished = runs
        self._to_start = runs
        self._handle = 0
        self._frames: asyncio.Queue[pb.WorkerFrame | None] = asyncio.Queue()
        self._frames.put_nowait(pb.WorkerFrame(definitions=[plan]))
        self._hash = plan.hash

    async def frames(self) -> AsyncIterator[pb.WorkerFrame]:
        """The worker's half of the stream; ends after the last run."""
        while (frame := await self._frames.get()) is not None:
            yield frame

    def answer(self, frame: pb.EngineFrame) -> None:
        """Commits everything in the frame and starts as many runs as the engine gives credit for."""
        reply = pb.WorkerFrame()
        for finished in frame.finished:
            reply.committed.add(handle=finished.handle)
        for effect in frame.effects:
            result = pb.JournalEntry(
                path=effect.step.path, attempt=1, state="SUCCEEDED", output=b'{"value":1,"revision":1}'
            )
            reply.committed.append(pb.StepCommitted(handle=effect.handle, result=result))
        self.unfinished -= len(frame.runs)
        starting = min(frame.credit, self._to_start)
        self._to_start -= starting
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
        self._frames.put_nowait(reply if self.unfinished else None)


async def measure(stub: Any, engine_pid: int, plan: pb.Definition, runs: int) -> float:
    """CPU µs of the engine per run."""
    feeder = Feeder(plan, runs)
    before = cpu_seconds(engine_pid)
    async for frame in stub.Execute(feeder.frames()):
        feeder.answer(frame)
        if not feeder.unfinished:
            break
    return (cpu_seconds(engine_pid) - before) / runs * 1e6


async def rows(_folder: Path) -> AsyncGenerator[Row, None]:
    """The median CPU time per run for each kind of pipeline."""
    cases = [
        ("one step, set", definition("set-1", SET, 1), RUNS),
        ("five steps, set", definition("set-5", SET, 5), RUNS),
        ("one step, journaled first", definition("effect-1", EFFECT, 1), RUNS),
        ("five steps, each journaled first", definition("effect-5", EFFECT, 5), RUNS // 4),
    ]
    async with engine_process() as (address, pid), internal_channel(address) as channel:
        stub = PipelineEngineServiceStub(channel)
        for name, plan, runs in cases:
            samples = [await measure(stub, pid, plan, runs) for _ in range(ROUNDS)]
            yield Row(f"CPU of the engine per run, {name}", statistics.median(samples), "µs")


@asynccontextmanager
async def engine_process() -> AsyncIterator[tuple[str, int]]:
    """The gRPC address and the pid of a running engine; stopped at the end."""
    environment = {
        **os.environ,
        "ORDINAUT_ENGINE_LISTEN": "127.0.0.1:0",
        "ORDINAUT_ENGINE_METRICS_PORT": "0",
        "ORDINAUT_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline_engine"),
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None or not (line := await process.stdout.readline()):
            raise RuntimeError("the engine ended before it was ready")
        yield f"127.0.0.1:{json.loads(line)['ports']['grpc']}", process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
