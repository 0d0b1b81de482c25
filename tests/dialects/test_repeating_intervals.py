"""ISO 8601 repeating intervals against repeated addition."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from scheduler.dialects.times import next_times
from scheduler.dialects.translate import translate
from scheduler.dialects.translation import Certainty

NOW = datetime(2026, 5, 1, 10, 0, tzinfo=UTC)
MOST = 30


def later(start: datetime, months: int) -> datetime:
    """The same day of a later month."""
    number = start.year * 12 + start.month - 1 + months
    return start.replace(year=number // 12, month=number % 12 + 1)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("unit", ["S", "M", "H", "D", "W", "month", "Y"])
def test_random_intervals(seed: int, unit: str) -> None:
    """With and without a count, with an offset and in local time."""
    random = Random(f"{seed} {unit}")
    start = datetime.fromisoformat("2026-05-02T00:00:00") + timedelta(minutes=random.randint(0, 300_000))
    start = start.replace(day=min(start.day, 28))
    number, count = random.randint(1, 40), random.choice((None, random.randint(1, 12)))
    length = f"PT{number}{unit}" if unit in "SMH" else f"P{number}{'M' if unit == 'month' else unit}"
    seconds = {"S": 1, "M": 60, "H": 3600, "D": 86_400, "W": 604_800}
    offset = random.choice(("", "Z", "+02:00", "-0530")) if unit in seconds else random.choice(("", "Z"))
    shift = {"": 0, "Z": 0, "+02:00": -120, "-0530": 330}[offset]
    first = (start + timedelta(minutes=shift)).replace(tzinfo=UTC)
    text = f"R{count or ''}/{start.isoformat()}{offset}/{length}"
    if unit in seconds:
        expected = [first + place * timedelta(seconds=seconds[unit] * number) for place in range(count or MOST)]
    else:
        months = number * (12 if unit == "Y" else 1)
        expected = [later(first, place * months) for place in range(count or MOST)]
    translation = translate(text, "rrule", NOW, "UTC")
    assert translation.certainty is Certainty.CERTAIN, text
    assert translation.trigger is not None
    expected = [time for time in expected if time.year <= 2200][:MOST]
    assert next_times(translation.trigger, NOW, None, len(expected)) == expected, text
    if count:
        assert len(next_times(translation.trigger, NOW, None, count + 1)) == len(expected)
