"""Pages end before they are too large, and never stand still."""

from hypothesis import given
from hypothesis import strategies as st

from gateway import paging
from gateway.paging import fitting
from ordinaut.v1.task_pb2 import Task

SIZES = st.lists(st.integers(0, 2 * paging.MAX_BYTES), max_size=30)


def weighing(size: int) -> Task:
    return Task(description="x" * size)


@given(SIZES, st.integers(1, 10), st.integers(2, 5))
def test_pages_together_are_what_is_shown(sizes: list[int], page_size: int, hidden: int) -> None:
    """Each once and in order, whatever the rows weigh; no page but that of a single row is too large."""
    rows = [(number, size // 1000) for number, size in enumerate(sizes)]
    limit, paging.MAX_BYTES = paging.MAX_BYTES, paging.MAX_BYTES // 1000
    try:
        seen: list[int] = []
        rest = rows
        while True:
            here: list[int] = []

            def make(row: tuple[int, int], into: list[int] = here) -> Task:
                into.append(row[0])
                return weighing(row[1])

            page = fitting(rest[:page_size], page_size, make, lambda row: row[0] % hidden != 0)
            shown = here[: len(page.messages)]
            seen += shown
            assert len(shown) <= 1 or sum(message.ByteSize() for message in page.messages) <= paging.MAX_BYTES
            if page.last is None:
                break
            assert page.last in rest
            rest = rows[page.last[0] + 1 :]
    finally:
        paging.MAX_BYTES = limit
    assert seen == [number for number, _ in rows if number % hidden]
