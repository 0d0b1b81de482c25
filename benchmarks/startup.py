"""From nothing to ready, and what an idle system takes: `ordinaut up` in an empty folder, as a process of its own."""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.targets import Row
from benchmarks.usage import cpu_seconds, resident_mib

ROUNDS = 3
SETTLE_SECONDS = 2.0
IDLE_SECONDS = 5.0
SERVICES = ("gateway", "scheduler", "worker", "pipeline_engine")


async def measure(folder: Path) -> list[Row]:
    """Medians of the rounds; memory and CPU time of the last."""
    starts = []
    memory: dict[str, float] = {}
    busy = 0.0
    for number in range(ROUNDS):
        began = time.monotonic()
        process = await _up(folder / f"round-{number}")
        try:
            said = await _said(process)
            starts.append(time.monotonic() - began)
            if number == ROUNDS - 1:
                await asyncio.sleep(SETTLE_SECONDS)
                memory = {name: max(map(resident_mib, said["pids"][name])) for name in SERVICES}
                busy = await _busy([pid for name in SERVICES for pid in said["pids"][name]])
        finally:
            process.terminate()
            await process.wait()
    return [
        Row("cold `ordinaut up` to ready", statistics.median(starts), "s", 6, 3),
        *(Row(f"memory of an idle {name}", mib, "MiB", 90, 60) for name, mib in memory.items()),
        Row("CPU of the idle services", busy * 100, "%"),
    ]


async def _up(folder: Path) -> asyncio.subprocess.Process:
    ports = ("--grpc-port", "0", "--rest-port", "0")
    command = (sys.executable, "-m", "ordinaut.cli", "up", "--json", "--data-dir", str(folder), *ports)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def _said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    if process.stdout is None:
        raise RuntimeError("ordinaut up has no standard output")
    said: dict[str, Any] = json.loads(await process.stdout.readline())
    return said


async def _busy(pids: list[int]) -> float:
    """The share of one CPU that these take while nothing is to be done."""
    before = sum(map(cpu_seconds, pids))
    await asyncio.sleep(IDLE_SECONDS)
    return (sum(map(cpu_seconds, pids)) - before) / IDLE_SECONDS
