"""The almanac agent agrees with printed almanacs."""

import pytest

from examples.morning_briefing.almanac_agent import moon_name, today
from examples.morning_briefing.tool_server import Call, RejectedError


def test_a_known_day_has_its_known_sun_and_moon() -> None:
    assert today(Call({"city": "Bucharest", "date": "2026-11-24"}, "")) == {
        "city": "Bucharest",
        "date": "2026-11-24",
        "sunrise": "07:23",
        "sunset": "16:40",
        "moon": "full moon",
    }


def test_a_timestamp_selects_the_local_date_of_the_city() -> None:
    assert today(Call({"city": "Tokyo", "date": "2026-11-24T20:00:00Z"}, ""))["date"] == "2026-11-25"


@pytest.mark.parametrize(
    ("phase", "name"), [(0, "new moon"), (7, "first quarter"), (14, "full moon"), (27.9, "new moon")]
)
def test_phases_have_their_names(phase: float, name: str) -> None:
    assert moon_name(phase) == name


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"city": "Atlantis", "date": "2026-11-24"}, "unknown city"),
        ({"city": "Europe", "date": "2026-11-24"}, "got region"),
        ({"city": "Bucharest", "date": "tomorrow"}, "must be a date or a timestamp"),
    ],
)
def test_unknown_input_is_rejected(given: dict[str, str], problem: str) -> None:
    with pytest.raises(RejectedError, match=problem):
        today(Call(given, ""))
