"""Runs parts one after the other and keeps the figures of each, also of those that fail."""

import asyncio
import os
import sys
import tempfile
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.load import Load, LoadSampler
from benchmarks.harness.targets import Row

Part = Callable[[Path], AsyncGenerator[Row, None]]


@dataclass(frozen=True)
class PartResult:
    """What a part measured; `failure` is the reason why it ended early, None if it is complete."""

    name: str
    rows: tuple[Row, ...]
    failure: str | None
    load: Load

    @property
    def passed(self) -> bool:
        """Complete, reportable, and without a missed target."""
        return self.failure is None and self.load.reportable and all(row.verdict != "missed" for row in self.rows)


async def run_parts(parts: Mapping[str, Part], limit_seconds: float) -> AsyncIterator[PartResult]:
    """The result of each part as soon as it ends. Parts never overlap: they would disturb each other."""
    for name, part in parts.items():
        yield await run_part(name, part, limit_seconds)


async def run_part(name: str, part: Part, limit_seconds: float) -> PartResult:
    """Runs a part in a temporary folder for at most `limit_seconds`; figures before a failure are kept."""
    rows: list[Row] = []
    sampler = await LoadSampler.start(os.getpid())
    try:
        failure = await _collect(part, rows, limit_seconds)
    finally:
        load = await sampler.stop()
    return PartResult(name, tuple(rows), failure, load)


async def _collect(part: Part, rows: list[Row], limit_seconds: float) -> str | None:
    """Appends to `rows` what the part yields; returns the reason of a failure."""
    deadline = asyncio.timeout(limit_seconds)
    try:
        with tempfile.TemporaryDirectory() as folder:
            async with deadline, aclosing(part(Path(folder))) as measured:
                async for row in measured:
                    rows.append(row)  # noqa: PERF401 - a comprehension would lose the rows before a failure
    except Exception as error:  # noqa: BLE001 - any failure of a part is reported, and the other parts still run
        traceback.print_exc(file=sys.stderr)
        if deadline.expired():
            return f"not finished within {limit_seconds:g} s"
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    return None
