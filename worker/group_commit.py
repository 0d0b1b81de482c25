"""Many small writes, one commit: items that come while a write is under way go with the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ordinaut.store.database import DATA_ERRORS
from worker.metrics import COMMIT, COMMIT_SIZE

Item = TypeVar("Item")


class GroupCommit(Generic[Item]):
    """Collects items for at most `linger_seconds` and hands up to `limit` of them to `write`.

    A batch that PostgreSQL refuses because of its values is halved until the guilty item stands alone and goes to
    `refuse`. `write` handles every other failure itself.
    """

    def __init__(
        self,
        what: str,
        write: Callable[[Sequence[Item]], Awaitable[None]],
        refuse: Callable[[Item, Exception], None],
        *,
        linger_seconds: float,
        limit: int,
    ) -> None:
        self._what = what
        self._write = write
        self._refuse = refuse
        self._linger = linger_seconds
        self._limit = limit
        self._items: list[Item] = []
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, item: Item) -> None:
        """Queues one item; returns at once."""
        self._items.append(item)
        self._idle.clear()
        self._some.set()

    async def serve(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._some.wait()
            if len(self._items) < self._limit:
                await asyncio.sleep(self._linger)
            batch, self._items = self._items[: self._limit], self._items[self._limit :]
            with COMMIT.labels(self._what).time():
                await self._halving(batch)
            COMMIT_SIZE.labels(self._what).observe(len(batch))
            if not self._items:
                self._some.clear()
                self._idle.set()

    async def idle(self) -> None:
        """Waits until everything added so far is written."""
        await self._idle.wait()

    async def _halving(self, batch: Sequence[Item]) -> None:
        try:
            await self._write(batch)
        except DATA_ERRORS as failure:
            if len(batch) == 1:
                self._refuse(batch[0], failure)
                return
            middle = len(batch) // 2
            await self._halving(batch[:middle])
            await self._halving(batch[middle:])
