"""Our own evaluation of RRULE against python-dateutil's, where that follows RFC 5545.

Left out because dateutil differs from the RFC there: BYSETPOS in a week that DTSTART cuts, BYWEEKNO without BYDAY
(the RFC takes DTSTART's weekday), numbered BYDAY beside BYMONTHDAY. Only rules that have times are put to dateutil,
which would search the others until the year 9999.
"""

from datetime import datetime, timedelta
from itertools import islice

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.triggers.rrule.calendar_rule import CalendarRule
from scheduler.triggers.rrule.parse import WEEKDAYS, parse_rule

FIRST, LAST = datetime.fromisoformat("1997-01-01"), datetime.fromisoformat("2030-12-31")
STARTS = st.datetimes(FIRST, LAST).map(lambda start: start.replace(microsecond=0))
TICK = timedelta(microseconds=1)


def joined(values: st.SearchStrategy[int], most: int = 3) -> st.SearchStrategy[str]:
    """A list of numbers as a part's value."""
    return st.lists(values, min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


def signed(high: int) -> st.SearchStrategy[int]:
    """Numbers that count from 1 or from -1."""
    return st.integers(-high, high).filter(bool)


DAY = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3, unique=True).map(",".join)
NUMBERED = st.tuples(signed(5), st.sampled_from(WEEKDAYS)).map(lambda day: f"{day[0]}{day[1]}")
CLOCK = {"BYHOUR": joined(st.integers(0, 23)), "BYMINUTE": joined(st.integers(0, 59), 2)}
SHAPES = {
    "DAILY": [{"BYMONTH": joined(st.integers(1, 12)), "BYDAY": DAY}, {"BYMONTHDAY": joined(signed(31)), "BYDAY": DAY}],
    "WEEKLY": [{"BYDAY": DAY, "BYMONTH": joined(st.integers(1, 12))}],
    "MONTHLY": [
        {"BYDAY": NUMBERED, "BYMONTH": joined(st.integers(1, 12))},
        {"BYMONTHDAY": joined(signed(31)), "BYSETPOS": joined(signed(3), 2)},
        {"BYDAY": DAY, "BYSETPOS": joined(signed(6), 2)},
    ],
    "YEARLY": [
        {"BYMONTH": joined(st.integers(1, 12)), "BYDAY": NUMBERED},
        {"BYYEARDAY": joined(signed(366)), "BYSETPOS": joined(signed(2), 1)},
        {"BYDAY": st.tuples(signed(53), st.sampled_from(WEEKDAYS)).map(lambda day: f"{day[0]}{day[1]}")},
        {"BYMONTH": joined(st.integers(1, 12)), "BYMONTHDAY": joined(signed(31)), "BYDAY": DAY},
    ],
}


@st.composite
def rules(draw: st.DrawFn) -> str:
    """The value of an RRULE."""
    frequency = draw(st.sampled_from(sorted(SHAPES)))
    parts = draw(st.sampled_from(SHAPES[frequency]))
    wanted = draw(st.sets(st.sampled_from(sorted(parts)), min_size=0)) - {"BYSETPOS"}
    if wanted and "BYSETPOS" in parts and draw(st.booleans()):
        wanted.add("BYSETPOS")
    text = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 5))}", f"WKST={draw(st.sampled_from(WEEKDAYS))}"]
    text += [f"{name}={draw(parts[name])}" for name in sorted(wanted)]
    text += [f"{name}={draw(CLOCK[name])}" for name in sorted(draw(st.sets(st.sampled_from(sorted(CLOCK)))))]
    return ";".join(text)


def ours(text: str, start: datetime, number: int) -> list[datetime]:
    """The first times of the rule."""
    rule = CalendarRule(parse_rule(text), start)
    found: list[datetime] = []
    local: datetime | None = start - TICK
    while local is not None and len(found) < number:
        local = rule.next(local)
        if local is not None:
            found.append(local)
    return found


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rules(), STARTS)
def test_same_times(text: str, start: datetime) -> None:
    """The first twelve times are dateutil's."""
    found = ours(text, start, 12)
    near = [time for time in found if time.year < start.year + 40]
    theirs = list(islice(rrulestr(text, dtstart=start), len(near)))
    assert near == theirs


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rules(), STARTS, st.integers(1, 30))
def test_the_end_of_a_count_is_where_walking_gets_to(text: str, start: datetime, count: int) -> None:
    """Counting by periods and walking one by one end at the same time."""
    walked = ours(text, start, count)
    if walked:
        assert CalendarRule(parse_rule(text), start).nth(count) == walked[-1]
