"""Reads lists page by page."""

from collections.abc import Awaitable, Callable
from typing import Any

from ordinaut.limits import MAX_PAGE_SIZE


async def collect(limit: int, page: Callable[[int, str], Awaitable[tuple[list[Any], str]]]) -> list[Any]:
    """The first `limit` elements; `page` takes a page size and token, and returns elements and the next token."""
    elements: list[Any] = []
    token = ""
    while len(elements) < limit:
        batch, token = await page(min(limit - len(elements), MAX_PAGE_SIZE), token)
        elements.extend(batch)
        if not token:
            break
    return elements[:limit]
