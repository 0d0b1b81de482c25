"""A past time range yields every instant once in either order, and merged rows are split into matching parts."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ordinaut.store.tasks.occurrence import MergedRow
from scheduler.firing.merged_rows import parts_of
from scheduler.firing.time_range import newest_first, oldest_first, position_after
from scheduler.schedules.schedule import CompiledSchedule

BEGIN = datetime(2026, 3, 27, tzinfo=UTC)  # clocks change on the 29th
SCHEDULES: list[dict[str, Any]] = [
    {"triggers": [{"id": "t0", "cron": "*/17 * * * *"}]},
    {"triggers": [{"id": "t0", "cron": "*/5 8 * * *"}, {"id": "t1", "cron": "0 * * * *"}]},
    {"triggers": [{"id": "t0", "interval": "600s"}], "exclusions": [{"date": "2026-03-28"}]},
    {"triggers": [{"id": "t0", "rrule": "DTSTART:20260327T000000\nRRULE:FREQ=SECONDLY;COUNT=300"}]},
    {"triggers": [{"id": "t0", "cron": "0 0 1 1 *"}]},
]
SECONDS = st.integers(0, 4 * 86_400)
ZONED = {"time_zone": "Europe/Chisinau", "start_time": BEGIN.isoformat()}


@settings(max_examples=60, deadline=None)  # the machine may be busy
@given(st.sampled_from(SCHEDULES), SECONDS, SECONDS, st.integers(1, 40), st.integers(1, 10**6))
def test_either_order_yields_every_instant_once(
    schedule: dict[str, Any], first: int, second: int, limit: int, width: int
) -> None:
    plan = CompiledSchedule.compile({**schedule, **ZONED})
    after, until = (BEGIN + timedelta(seconds=offset) for offset in sorted([first, second]))
    expected = oldest_first(plan, after, until, 10**6)
    assert expected.complete
    rising, position = [], after
    while True:
        page = oldest_first(plan, position, until, limit)
        assert len(page.due) <= limit
        rising += page.due
        if page.complete:
            break
        position = position_after(page.due[-1].instant.time, newest_first=False)
    falling, position = [], until
    while True:
        page = newest_first(plan, after, position, limit, timedelta(seconds=width))
        assert len(page.due) <= limit
        falling += page.due
        if page.complete:
            break
        position = position_after(page.due[-1].instant.time, newest_first=True)
    assert rising == expected.due
    assert falling == expected.due[::-1]
    assert all(due.following is None or due.following > due.instant.time for due in rising)


@settings(deadline=None)
@given(st.integers(2, 30), st.sets(st.integers(-3, 35)))
def test_the_parts_of_a_merged_row_contain_its_instants(count: int, chosen: set[int]) -> None:
    def minute(number: int) -> datetime:
        return BEGIN + number * timedelta(minutes=1)

    row = MergedRow(
        key="3/interval:20260327T000000Z",
        instant=minute(0),
        last_instant=minute(count - 1),
        outcome="COALESCED",
        schedule='{"triggers": [{"id": "t0", "interval": "60s"}], "start_time": "2026-03-26T00:00:00Z"}',
        separate=[],
    )
    parts = parts_of(row, {minute(number) for number in chosen})
    inside = {minute(number) for number in chosen if 0 <= number < count}
    assert bool(parts) == bool(inside)
    covered = [minute for part in parts for minute in _minutes(part.first, part.last)]
    assert covered == ([minute(number) for number in range(count)] if inside else [])
    assert all(part.count == len(_minutes(part.first, part.last)) for part in parts)
    assert {part.first for part in parts if part.first in inside and part.count == 1} == inside
    assert [part.key for part in parts] == [f"3/interval:{part.first:%Y%m%dT%H%M%SZ}" for part in parts]
    assert all(part.first in inside or next_part.first in inside for part, next_part in pairwise(parts))


def _minutes(first: datetime, last: datetime) -> list[datetime]:
    return [first + number * timedelta(minutes=1) for number in range((last - first) // timedelta(minutes=1) + 1)]
