"""Cold start, memory and idle CPU of `ordinaut up` in an empty folder, run as a separate process."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness.targets import Row
from benchmarks.usage import cpu_seconds, resident_mib

ROUNDS = 3
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 5.0
SERVICES = ("gateway", "scheduler", "worker", "pipeline_engine")


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """The median start time; memory and CPU time of one more start."""
    starts = [await _start_seconds(folder / f"round-{number}") for number in range(ROUNDS)]
    yield Row("cold `ordinaut up` to ready, p50", statistics.median(starts), "s", 6, 3)
    async with _ordinaut_up(folder / "idle") as description:
        await asyncio.sleep(SETTLE_SECONDS)
        for name in SERVICES:
            memory = max(map(resident_mib, description["pids"][name]))
            yield Row(f"memory of an idle {name}", memory, "MiB", 90, 60)
        share = await _cpu_share([pid for name in SERVICES for pid in description["pids"][name]])
        yield Row("CPU of the idle services", share * 100, "%")


async def _start_seconds(folder: Path) -> float:
    start = time.monotonic()
    async with _ordinaut_up(folder):
        return time.monotonic() - start


@asynccontextmanager
async def _ordinaut_up(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """A ready system and its description as `ordinaut up --json` prints it; stopped at the end."""
    ports = ("--grpc-port", "0", "--rest-port", "0")
    command = (sys.executable, "-m", "ordinaut.cli", "up", "--json", "--data-dir", str(folder), *ports)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        if process.stdout is None or not (line := await process.stdout.readline()):
            raise RuntimeError("`ordinaut up` ended before it was ready")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _cpu_share(pids: list[int]) -> float:
    """CPU time of these processes over IDLE_SECONDS, as a fraction of one core."""
    before = sum(map(cpu_seconds, pids))
    await asyncio.sleep(IDLE_SECONDS)
    return (sum(map(cpu_seconds, pids)) - before) / IDLE_SECONDS
