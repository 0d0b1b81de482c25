"""Group commit: items added while a write is in flight are written together by the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ordinaut.store.database import DATA_ERRORS
from worker.metrics import COMMIT, COMMIT_SIZE

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Collects items for at most `linger_seconds` and passes up to `limit` of them to `write`.

    A batch that PostgreSQL rejects because of its values is bisected until the rejected item is alone and goes to
    `reject`. `write` handles every other failure itself.
    """

    def __init__(
        self,
        stage: str,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        reject: Callable[[Item, Exception], None],
        *,
        linger_seconds: float,
        limit: int,
    ) -> None:
        self._stage = stage
        self._write = write
        self._reject = reject
        self._linger = linger_seconds
        self._limit = limit
        self._items: list[Item] = []
        self._added = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, item: Item) -> None:
        """Queues one item; returns at once."""
        self._items.append(item)
        self._idle.clear()
        self._added.set()

    async def serve(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._added.wait()
            # A commit costs a flush of the WAL, whether it holds one run or hundreds. Under load the batch fills while
            # the previous write is in flight; the short linger does the same for runs that arrive close together when
            # the server is idle. It adds at most its length to the latency of a step, and a full batch skips it.
            if len(self._items) < self._limit:
                await asyncio.sleep(self._linger)
            batch, self._items = self._items[: self._limit], self._items[self._limit :]
            with COMMIT.labels(self._stage).time():
                await self._bisect(batch)
            COMMIT_SIZE.labels(self._stage).observe(len(batch))
            if not self._items:
                self._added.clear()
                self._idle.set()

    async def idle(self) -> None:
        """Waits until everything added so far is written."""
        await self._idle.wait()

    async def _bisect(self, batch: Sequence[Item]) -> None:
        """Writes the batch, in halves if its values are rejected.

        PostgreSQL reports only that some value of the statement is bad (a NUL in a JSON string, a number out of range),
        not of which run, and rolls all of it back. Halving finds one bad run among n in about 2 log2(n) writes, and
        every other run of the batch is still written. Failures that are not about values are not bisected: they would
        fail for each half too, and are handled for the batch as a whole.
        """
        try:
            await self._write(batch)
        except DATA_ERRORS as failure:
            if len(batch) == 1:
                self._reject(batch[0], failure)
                return
            middle = len(batch) // 2
            await self._bisect(batch[:middle])
            await self._bisect(batch[middle:])
