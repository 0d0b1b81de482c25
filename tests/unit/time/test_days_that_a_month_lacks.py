"""SKIP of RFC 7529 against an oracle that computes each month by itself."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from itertools import count, islice
from random import Random

import pytest

from tests.sample import FULL
from tests.unit.time.writing import NOW, accepted, check, problems, take

START = date(2026, 1, 31)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
DAY = timedelta(days=1)


def one_day(year: int, month: int, number: int, skip: str) -> date | None:
    """The day of that number, or the one that SKIP names, found by stepping from an end of the month."""
    length = monthrange(year, month)[1]
    first, last = date(year, month, 1), date(year, month, length)
    if abs(number) <= length:
        return first + (number - 1) * DAY if number > 0 else last + (number + 1) * DAY
    if skip == "OMIT":
        return None
    if number > 0:
        return last if skip == "BACKWARD" else last + DAY
    return first - DAY if skip == "BACKWARD" else first


def oracle(
    skip: str, numbers: list[int], months: list[int], weekdays: list[int], positions: list[int], yearly: bool, step: int
) -> list[date]:
    """The first forty days of the rule from START on."""
    found: list[date] = []
    for period in islice(count(0, step), 480):
        year, month = (START.year + period, None) if yearly else divmod(START.year * 12 + START.month - 1 + period, 12)
        chosen = (months or list(range(1, 13))) if month is None else [month + 1]
        days = {
            day
            for each in chosen
            if not months or each in months
            for number in numbers
            if (day := one_day(year, each, number, skip)) is not None and (not weekdays or day.weekday() in weekdays)
        }
        listed = sorted(days)
        if positions:
            places = {place - 1 if place > 0 else len(listed) + place for place in positions}
            listed = [listed[place] for place in sorted(places) if 0 <= place < len(listed)]
        found += [day for day in listed if day >= START and day not in found]
    return sorted(found)[:40]


@pytest.mark.parametrize("seed", range(60 if FULL else 20))
def test_random_rules_agree_with_the_oracle(seed: int) -> None:
    """Months and years, with BYMONTH, BYDAY, BYSETPOS, INTERVAL and negative days; COUNT ends at the same day."""
    random = Random(seed)
    skip = random.choice(["OMIT", "BACKWARD", "FORWARD"])
    numbers = sorted(random.sample([1, 2, 15, 28, 29, 30, 31, -1, -28, -29, -30, -31], random.randint(1, 4)))
    yearly = random.random() < 0.3
    months = sorted(random.sample(range(1, 13), random.randint(1, 5))) if yearly or random.random() < 0.3 else []
    weekdays = sorted(random.sample(range(7), random.randint(2, 6))) if random.random() < 0.3 else []
    positions = random.sample([1, -1, 2], 1) if random.random() < 0.2 else []
    step = 1 if months and not yearly else random.randint(1, 3)
    parts = [
        f"RSCALE=GREGORIAN;FREQ={'YEARLY' if yearly else 'MONTHLY'};INTERVAL={step};SKIP={skip}",
        f"BYMONTHDAY={','.join(map(str, numbers))}",
        *([f"BYMONTH={','.join(map(str, months))}"] if months else []),
        *([f"BYDAY={','.join(WEEKDAYS[day] for day in weekdays)}"] if weekdays else []),
        *([f"BYSETPOS={positions[0]}"] if positions else []),
    ]
    text = f"DTSTART:20260131T090000Z\nRRULE:{';'.join(parts)}"
    wanted = oracle(skip, numbers, months, weekdays, positions, yearly, step)
    if not wanted:
        assert problems({"rrule": text}) == {"triggers[0].rrule": "SCHEDULE_NEVER_FIRES"}
        return
    found = take(accepted({"rrule": text}), None, len(wanted))
    assert [each.time.date() for each in found] == wanted, text
    some = random.randint(1, len(wanted))
    counted = take(accepted({"rrule": f"{text};COUNT={some}"}), None, 50)
    assert [each.time.date() for each in counted] == wanted[:some], text
    if len(wanted) > 2:  # a search from anywhere finds the next one
        middle = datetime.combine(wanted[1], datetime.min.time(), UTC)
        assert take(accepted({"rrule": text}), middle, 1)[0].time.date() == wanted[1], text


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MONTHLY;SKIP=BACKWARD", ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ("FREQ=MONTHLY;SKIP=FORWARD", ["01-31", "03-01", "03-31", "05-01", "05-31"]),
        ("FREQ=MONTHLY;SKIP=OMIT", ["01-31", "03-31", "05-31", "07-31", "08-31"]),
        ("FREQ=MONTHLY;SKIP=FORWARD;BYMONTHDAY=1,30", ["02-01", "03-01", "03-30", "04-01", "04-30"]),
    ],
)
def test_the_day_of_dtstart_is_moved_as_well(rule: str, expected: list[str]) -> None:
    """Without BYMONTHDAY, and without RSCALE."""
    for scale in ("", "RSCALE=gregorian;"):
        found = take(accepted({"rrule": f"DTSTART:20260131T090000Z\nRRULE:{scale}{rule}"}), None, 5)
        assert [each.time.strftime("%m-%d") for each in found] == expected


@pytest.mark.parametrize(("skip", "day"), [("BACKWARD", "2027-02-28"), ("FORWARD", "2027-03-01")])
def test_a_birthday_in_a_leap_year(skip: str, day: str) -> None:
    """The example of RFC 7529."""
    plan = accepted({"rrule": f"DTSTART:20240229T090000Z\nRRULE:RSCALE=GREGORIAN;FREQ=YEARLY;SKIP={skip}"})
    assert take(plan, NOW, 1)[0].time.date().isoformat() == day


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("RSCALE=CHINESE;FREQ=YEARLY;SKIP=FORWARD", "RSCALE must be GREGORIAN"),
        ("FREQ=MONTHLY;SKIP=SIDEWAYS", "SKIP must be one of OMIT, BACKWARD, FORWARD"),
        ("FREQ=DAILY;BYMONTHDAY=31;SKIP=BACKWARD", "need FREQ=MONTHLY or YEARLY"),
    ],
)
def test_what_is_not_supported_is_refused(rule: str, word: str) -> None:
    """Other calendars, other values, and frequencies that generate no such day."""
    [violation] = check({"rrule": rule}, time_zone="UTC").violations
    assert word in violation.message


def test_an_exclusion_may_be_moved() -> None:
    """The last day of each month is excluded."""
    moved = [{"rrule": "DTSTART:20260131T000000Z\nRRULE:FREQ=MONTHLY;SKIP=BACKWARD"}]
    plan = accepted({"cron": "0 9 * * *"}, time_zone="UTC", exclusions=moved)
    excluded = [each.time.strftime("%m-%d") for each in take(plan, NOW, 100) if each.excluded]
    assert excluded == ["05-31", "06-30", "07-31"]
