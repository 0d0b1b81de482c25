"""Pages end before they are too large, and never stand still."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api import pagination
from gateway.api.pagination import read_page
from ordinaut.v1.task_pb2 import Task

SIZES = st.lists(st.integers(0, 2 * pagination.MAX_BYTES), max_size=60)


@settings(deadline=None)
@given(SIZES, st.integers(1, 50))
async def test_all_pages_together_contain_every_row_once(sizes: list[int], page_size: int) -> None:
    """Each once and in order, whatever the rows weigh; no page but that of a single row is too large."""
    rows = [(number, size // 1000) for number, size in enumerate(sizes)]

    async def read(after: str, count: int) -> list[tuple[int, int]]:
        begin = int(after) + 1 if after else 0
        return rows[begin : begin + count]

    limit, pagination.MAX_BYTES = pagination.MAX_BYTES, pagination.MAX_BYTES // 1000
    try:
        seen: list[int] = []
        start = ""
        while True:
            page = await read_page(
                read,
                lambda row: str(row[0]),
                start,
                page_size,
                lambda row: Task(version=row[0], description="x" * row[1]),
            )
            seen += [task.version for task in page.messages]
            weight = sum(message.ByteSize() for message in page.messages)
            assert len(page.messages) <= 1 or weight <= pagination.MAX_BYTES
            if page.last is None:
                break
            start = str(page.last[0])
    finally:
        pagination.MAX_BYTES = limit
    assert seen == [number for number, _ in rows]


async def test_a_page_of_large_rows_reads_only_a_few_rows() -> None:
    asked: list[int] = []

    async def read(after: str, count: int) -> list[int]:
        asked.append(count)
        begin = int(after or 0)
        return list(range(begin + 1, begin + 1 + count))

    large = await read_page(read, str, "", 1000, lambda _: Task(description="x" * 1_000_000))
    assert (len(large.messages), asked) == (3, [pagination.FIRST_ROWS])
    small = await read_page(read, str, "", 1000, lambda _: Task(description="x"))
    assert (len(small.messages), asked[1:]) == (1000, [pagination.FIRST_ROWS, 1000 - pagination.FIRST_ROWS])
