"""Halving: a batch that PostgreSQL refuses is done in parts, until what is guilty stands alone."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ordinaut.store.database import DATA_ERRORS

Result = TypeVar("Result")


async def bisect(
    batch: int, work: Callable[[int], Awaitable[Result]], alone: Callable[[BaseException], Awaitable[Result]]
) -> Result:
    """`work` on up to `batch` rows, on half as many while their values are refused; `alone` is for a batch of one."""
    try:
        return await work(batch)
    except DATA_ERRORS as failure:
        return await (bisect(batch // 2, work, alone) if batch > 1 else alone(failure))
