"""The calendar agent expands real iCalendar data."""

from datetime import UTC, datetime

import pytest

from examples.morning_briefing.calendar_agent import DEFAULT_FILE, Agenda, offer
from examples.morning_briefing.tool_server import Call, RejectedError

AGENDA = Agenda(DEFAULT_FILE.read_bytes())


def titles(start: datetime, end: datetime) -> list[str]:
    return [event["title"] for event in AGENDA.list_events(start, end)]


def test_a_day_lists_recurring_and_all_day_events_in_order() -> None:
    events = AGENDA.list_events(datetime(2026, 11, 23, 22, tzinfo=UTC), datetime(2026, 11, 24, 22, tzinfo=UTC))
    assert [event["title"] for event in events[:3]] == ["Mihai's birthday", "Walk the dog", "Stand-up"]
    assert [event["all_day"] for event in events] == [True, False, False, False]
    assert events[0]["start"] == "2026-11-24"
    assert events[1]["start"] == "2026-11-24T07:00:00+02:00"
    assert events[1]["line"] == "  07:00  Walk the dog (Cișmigiu)"


def test_an_excluded_day_is_omitted() -> None:
    assert "Walk the dog" not in titles(datetime(2026, 12, 24, 22, tzinfo=UTC), datetime(2026, 12, 25, 22, tzinfo=UTC))


def test_a_moved_occurrence_replaces_only_itself() -> None:
    day = titles(datetime(2026, 12, 1, 22, tzinfo=UTC), datetime(2026, 12, 2, 22, tzinfo=UTC))
    assert day == ["Walk the dog", "Stand-up (moved for the audit)"]


def test_a_foreign_zone_keeps_its_own_clock_changes() -> None:
    between_the_changes = AGENDA.list_events(
        datetime(2026, 3, 17, 12, tzinfo=UTC), datetime(2026, 3, 17, 18, tzinfo=UTC)
    )
    assert [event["line"] for event in between_the_changes] == [
        "  16:00  Design review with New York (https://meet.example/review)"
    ]


def test_the_last_day_of_every_month_is_listed() -> None:
    for month, day in ((2, 28), (4, 30), (5, 31)):
        noon = datetime(2026, month, day, 12, tzinfo=UTC)
        assert "Pay the rent" in titles(noon, noon.replace(hour=13))


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("soon", "2026-11-24T00:00:00Z", "must be an RFC 3339 timestamp"),
        ("2026-11-23T00:00:00", "2026-11-24T00:00:00Z", "must have an offset"),
        ("2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "after start"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "at most 366 days"),
    ],
)
def test_an_invalid_time_range_is_rejected(start: str, end: str, problem: str) -> None:
    with pytest.raises(RejectedError, match=problem):
        offer(AGENDA).answer(Call({"start": start, "end": end}, ""))
