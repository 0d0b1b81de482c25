"""A part that fails keeps the figures it has measured, and the other parts still run."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from benchmarks.harness.load import Load
from benchmarks.harness.runner import PartResult, run_part, run_parts
from benchmarks.harness.targets import Row

FIRST, SECOND = Row("first", 1.0, "ms"), Row("second", 2.0, "ms")
QUIET = Load(0.1, 0.2, 0.3)


async def complete(_folder: Path) -> AsyncGenerator[Row, None]:
    yield FIRST
    yield SECOND


async def failing(_folder: Path) -> AsyncGenerator[Row, None]:
    yield FIRST
    raise RuntimeError("7 schedules are not planned")


async def without_message(_folder: Path) -> AsyncGenerator[Row, None]:
    yield FIRST
    raise TimeoutError


async def endless(_folder: Path) -> AsyncGenerator[Row, None]:
    yield FIRST
    await asyncio.Event().wait()


async def test_the_parts_after_a_failed_part_run() -> None:
    parts = {"a": failing, "b": complete}
    results = [result async for result in run_parts(parts, limit_seconds=60)]
    assert [(result.name, result.rows, result.failure) for result in results] == [
        ("a", (FIRST,), "RuntimeError: 7 schedules are not planned"),
        ("b", (FIRST, SECOND), None),
    ]


async def test_a_failure_without_message_is_named_by_its_type() -> None:
    assert (await run_part("a", without_message, 60)).failure == "TimeoutError"


async def test_a_part_that_exceeds_its_limit_is_stopped() -> None:
    result = await run_part("a", endless, limit_seconds=0.05)
    assert (result.rows, result.failure) == ((FIRST,), "not finished within 0.05 s")


async def test_the_part_releases_its_resources_at_the_limit() -> None:
    released: list[Path] = []

    async def part(folder: Path) -> AsyncGenerator[Row, None]:
        try:
            yield FIRST
            await asyncio.Event().wait()
        finally:
            released.append(folder)

    await run_part("a", part, limit_seconds=0.05)
    assert len(released) == 1
    assert not released[0].exists()


async def test_cancellation_ends_the_run_and_is_no_failure_of_a_part() -> None:
    started = asyncio.Event()

    async def part(_folder: Path) -> AsyncGenerator[Row, None]:
        started.set()
        await asyncio.Event().wait()
        yield FIRST

    running = asyncio.create_task(run_part("a", part, 60))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("rows", "failure", "load", "passed"),
    [
        ((FIRST,), None, QUIET, True),
        ((FIRST,), "RuntimeError", QUIET, False),
        ((FIRST,), None, Load(0.1, 0.2, 1.6), False),
        ((Row("x", 9, "ms", required=5, goal=3),), None, QUIET, False),
    ],
)
def test_a_part_passes_if_complete_reportable_and_within_targets(
    rows: tuple[Row, ...], failure: str | None, load: Load, passed: bool
) -> None:
    assert PartResult("a", rows, failure, load).passed is passed
