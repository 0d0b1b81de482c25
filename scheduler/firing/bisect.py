"""Bisecting a batch that PostgreSQL rejects, until the row at fault is the only one in its batch."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ordinaut.store.database import DATA_ERRORS

Result = TypeVar("Result")


async def bisect_batch(
    batch: int, work: Callable[[int], Awaitable[Result]], reject: Callable[[BaseException], Awaitable[Result]]
) -> Result:
    """Calls `work` for up to `batch` rows, and for half as many while their values are rejected.

    `reject` is called instead when a batch of one row is rejected.
    """
    try:
        return await work(batch)
    except DATA_ERRORS as failure:
        return await (bisect_batch(batch // 2, work, reject) if batch > 1 else reject(failure))
