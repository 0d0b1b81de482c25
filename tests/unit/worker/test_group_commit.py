"""Group commit: what comes meanwhile goes along, and a guilty item stands alone."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from tests.patience import PATIENCE
from worker.group_commit import GroupCommit


class Writes:
    """Records batches; refuses those that hold a negative number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.refused: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, batch: Sequence[int]) -> None:
        await self.gate.wait()
        if any(item < 0 for item in batch):
            raise asyncpg.DataError("negative")
        self.batches.append(list(batch))

    def refuse(self, item: int, _failure: Exception) -> None:
        self.refused.append(item)


async def run(writes: Writes, items: Sequence[int], limit: int = 100) -> None:
    commits = GroupCommit("test", writes.write, writes.refuse, linger_seconds=0, limit=limit)
    serving = asyncio.create_task(commits.serve())
    for item in items:
        commits.add(item)
    async with asyncio.timeout(PATIENCE):
        await commits.idle()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_everything_that_waits_goes_with_one_write() -> None:
    writes = Writes()
    await run(writes, range(50))
    assert writes.batches == [list(range(50))]


async def test_a_batch_has_a_limit_and_nothing_is_left_behind() -> None:
    writes = Writes()
    await run(writes, range(25), limit=10)
    assert [len(batch) for batch in writes.batches] == [10, 10, 5]


@pytest.mark.parametrize("guilty", [0, 7, 31])
async def test_only_the_guilty_item_is_refused(guilty: int) -> None:
    writes = Writes()
    items = [-1 if place == guilty else place for place in range(32)]
    await run(writes, items)
    assert writes.refused == [-1]
    assert sorted(item for batch in writes.batches for item in batch) == sorted(item for item in items if item >= 0)
