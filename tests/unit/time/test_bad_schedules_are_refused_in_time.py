"""Whatever is written, the answer names the field and the reason, and comes within the bound."""

import time
from typing import Any

import pytest

from tests.unit.time.writing import problems

CAP_SECONDS = 0.5
"""Of CPU. Ten times the bound of an answer: a watchdog against search without end, not a measurement."""

CRON = [
    "", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 * * 8", "*/0 * * * *", "30-10 * * * *",
    ", * * * *", "1,,2 * * * *", "1- * * * *", "-1 * * * *", "," * 10_000, "0 0 L * *", "0 0 15W * *", "0 0 ? * 1",
    "0 0 * * 5#2", "@reboot", "\u0660 \u0660 * * *", "0 0 * * *\n* * * * *", "0 0 * 13 *", "5/15 * * * *",
    "\x00 0 * * *",
    "0 0 * foo *", "1e1 * * * *", "0 0 * * mon-", "*5 * * * *", "* * * * */", "0x1 * * * *",
]  # fmt: skip

RRULE = [
    "", "INTERVAL=2", "FREQ=FORTNIGHTLY", "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;INTERVAL=-1", "FREQ=MONTHLY;BYSETPOS=1", "FREQ=WEEKLY;BYDAY=1MO", "FREQ=DAILY;COUNT=2;COUNT=3",
    "FREQ=DAILY;COUNT=1000000000000", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;BYHOUR=24", "FREQ=DAILY;BYMINUTE=60",
    "FREQ=DAILY;BYSECOND=61", "FREQ=MONTHLY;BYMONTHDAY=0", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=YEARLY;BYMONTH=13",
    "FREQ=YEARLY;BYYEARDAY=367", "FREQ=MONTHLY;BYYEARDAY=1", "FREQ=MONTHLY;BYWEEKNO=1", "FREQ=DAILY;BYDAY=XX",
    "FREQ=WEEKLY;BYMONTHDAY=1", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "FREQ=DAILY;WKST=1", "FREQ=DAILY;RSCALE=HEBREW",
    "FREQ=DAILY;UNTIL=tomorrow", "FREQ=DAILY;UNTIL=20261301", "FREQ=DAILY;BYHOUR=" + "1," * 10_000 + "2",
    "RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY", "BEGIN:VEVENT", "RRULE:",
    "DTSTART:00010101T000000Z\nRRULE:FREQ=DAILY", "DTSTART:99990101T000000Z\nRRULE:FREQ=DAILY",
    "DTSTART:20260101T250000Z\nRRULE:FREQ=DAILY", "DTSTART:20260101T000000Z", "FREQ=DAILY\x00", "FREQ=DAILY;;",
    "DTSTART;VALUE=PERIOD:20260101T000000Z\nRRULE:FREQ=DAILY", "RRULE;X=1:FREQ=DAILY", "X" * 100_000,
    "RRULE:FREQ=DAILY\nEXDATE:" + ",".join(["20270101T000000Z"] * 1_001), "RRULE:FREQ=DAILY\nRDATE:20270101",
    "FREQ=DAILY;BYDAY=0MO", "FREQ=MONTHLY;BYDAY=54MO", "FREQ=\u0661", "RRULE:FREQ=DAILY\nDTSTART:",
    "FREQ=DAILY;BYSETPOS=0",
]  # fmt: skip

NEVER = [
    {"cron": "0 0 31 2 *"},
    {"cron": "30 4 31 4,6,9,11 *"},
    {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30"},
    {"rrule": "FREQ=SECONDLY;BYMONTH=4,6,9,11;BYMONTHDAY=31"},
    {"rrule": "FREQ=HOURLY;BYYEARDAY=60;BYMONTH=1"},
    {"rrule": "FREQ=YEARLY;BYMONTH=5;BYSETPOS=3;BYMONTHDAY=3"},
    {"rrule": "FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1;BYDAY=MO"},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2"},
    {"rrule": "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=366;BYHOUR=1,2,3"},
    {"rrule": "FREQ=MONTHLY;BYDAY=2MO;BYMONTHDAY=1"},
    {"rrule": "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;UNTIL=20251231T000000Z"},
    {"rrule": "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=1\nEXDATE:20260101T000000Z"},
    {"rrule": "FREQ=YEARLY;INTERVAL=100000000;BYMONTH=1;BYMONTHDAY=1"},
    {"rrule": "DTSTART:20260105T000000Z\nRRULE:FREQ=DAILY;INTERVAL=7;BYDAY=TU"},
]  # fmt: skip

COSTLY = [
    {"rrule": "DTSTART:20260101T000001Z\nRRULE:FREQ=SECONDLY;INTERVAL=86399;BYHOUR=9;BYMINUTE=0;BYSECOND=0"},
    {"rrule": "FREQ=MINUTELY;BYHOUR=9;COUNT=10000"},
]

ZONES = [
    "../../etc/passwd", "Europe", "A" * 5_000, "Europe/Chisinau\x00", "tzdata.zi", "localtime", "posixrules", "utc",
    "UTC ", "zones", "__init__.py", "Europe/", "/etc/localtime", "America/Argentina", "EUROPE/PARIS",
]  # fmt: skip

ONCE = [
    "", "tomorrow", "2026-12-31T23:59:60Z", "10000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-07-01",
    "2026-07-01T12:00:00+25:00", "2300-01-01T00:00:00Z", "2026-07-01T12:00:00\n",
    "\u0662\u0660\u0662\u0666-07-01T12:00:00Z", "1" * 10_000,
]  # fmt: skip


def answered(trigger: dict[str, Any], zone: str = "UTC") -> dict[str, str]:
    """Reason by field, within the cap."""
    started = time.thread_time()
    found = problems(trigger, time_zone=zone)
    assert time.thread_time() - started < CAP_SECONDS
    return found


@pytest.mark.parametrize("text", CRON, ids=range(len(CRON)))
def test_cron(text: str) -> None:
    """Anything outside the five plain fields is INVALID_CRON."""
    assert answered({"cron": text}) == {"triggers[0].cron": "INVALID_CRON"}


@pytest.mark.parametrize("text", RRULE, ids=range(len(RRULE)))
def test_rrule(text: str) -> None:
    """Anything outside RFC 5545 or its bounds is INVALID_RRULE."""
    assert answered({"rrule": text}) == {"triggers[0].rrule": "INVALID_RRULE"}


@pytest.mark.parametrize("trigger", NEVER, ids=range(len(NEVER)))
def test_rules_without_any_time(trigger: dict[str, Any]) -> None:
    """A rule that no day fits is refused, not stored to wait for ever."""
    assert list(answered(trigger).values()) == ["SCHEDULE_NEVER_FIRES"]


@pytest.mark.parametrize("trigger", COSTLY, ids=range(len(COSTLY)))
def test_rules_that_cost_too_much(trigger: dict[str, Any]) -> None:
    """A rule whose next time cannot be found in the step bound is refused."""
    assert list(answered(trigger).values()) == ["SCHEDULE_TOO_COSTLY"]


@pytest.mark.parametrize("name", ZONES, ids=range(len(ZONES)))
def test_zones(name: str) -> None:
    """Only the names on the package's list are zones."""
    assert answered({"cron": "0 0 * * *"}, name) == {"time_zone": "UNKNOWN_TIMEZONE"}
    inside = {"rrule": f"DTSTART;TZID={name}:20260101T000000\nRRULE:FREQ=DAILY"}
    if name.strip() == name and "\x00" not in name:
        assert answered(inside) == {"triggers[0].rrule": "UNKNOWN_TIMEZONE"}


@pytest.mark.parametrize("text", ONCE, ids=range(len(ONCE)))
def test_once(text: str) -> None:
    """A single time is RFC 3339 or local, in the years that are planned for."""
    assert answered({"once": text}) == {"triggers[0].once": "INVALID_TIME"}


@pytest.mark.parametrize("text", ["0s", "-5s", "0.5s", "1.5s", "315576000000s", "0.000000001s"])
def test_interval(text: str) -> None:
    """An interval is whole seconds, at least one."""
    assert answered({"interval": text}) == {"triggers[0].interval": "INVALID_INTERVAL"}


@pytest.mark.parametrize("topic", ["", "a b", "a..b", ">.a", "a.>.b", "A", "mail.**", "a\x00", "a" * 600, "a." * 9])
def test_topics(topic: str) -> None:
    """A pattern is words, `*`, and `>` at the end."""
    assert answered({"event": {"topic": topic}}) == {"triggers[0].event.topic": "INVALID_TOPIC"}
