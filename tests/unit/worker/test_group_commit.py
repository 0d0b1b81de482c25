"""Group commit: items added during a write are written together, and a rejected item is isolated."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from tests.patience import PATIENCE
from worker.group_commit import GroupCommit


class Writes:
    """Records batches; rejects those with a negative number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.rejected: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, batch: Sequence[int]) -> None:
        await self.gate.wait()
        if any(item < 0 for item in batch):
            raise asyncpg.DataError("negative")
        self.batches.append(list(batch))

    def reject(self, item: int, _failure: Exception) -> None:
        self.rejected.append(item)


async def run(writes: Writes, items: Sequence[int], limit: int = 100) -> None:
    commits = GroupCommit("test", writes.write, writes.reject, linger_seconds=0, limit=limit)
    serving = asyncio.create_task(commits.serve())
    for item in items:
        commits.add(item)
    async with asyncio.timeout(PATIENCE):
        await commits.idle()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_queued_items_are_written_together() -> None:
    writes = Writes()
    await run(writes, range(50))
    assert writes.batches == [list(range(50))]


async def test_batches_are_limited_and_all_items_are_written() -> None:
    writes = Writes()
    await run(writes, range(25), limit=10)
    assert [len(batch) for batch in writes.batches] == [10, 10, 5]


@pytest.mark.parametrize("bad", [0, 7, 31])
async def test_only_the_bad_item_is_rejected(bad: int) -> None:
    writes = Writes()
    items = [-1 if place == bad else place for place in range(32)]
    await run(writes, items)
    assert writes.rejected == [-1]
    assert sorted(item for batch in writes.batches for item in batch) == sorted(item for item in items if item >= 0)
