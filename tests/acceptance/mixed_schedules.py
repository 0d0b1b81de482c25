"""Schedules of every kind by time, each with the instants that an oracle sees that shares no code with the triggers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.unit.time.oracle import DAY, MINUTE, CronOracle, Places, RuleOracle, Wall, wall

ZONES = (
    "Europe/Chisinau", "Europe/Berlin", "Europe/Lisbon", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "Asia/Tokyo", "UTC",
)  # fmt: skip
EVERY = frozenset(range(60))


@dataclass(frozen=True)
class Expected:
    """A schedule in its JSON form, and its instants in [begin, end)."""

    schedule: dict[str, Any]
    instants: list[datetime]


def mixed(count: int, begin: datetime, end: datetime, random: Random) -> Iterator[Expected]:
    """Schedules that start at `begin`, a whole minute: one in eight fires every few seconds."""
    kinds = [_cron, _cron, _cron, _calendar_rule, _elapsed_rule, _once, _slow_interval, _union]
    for number in range(count):
        kind = random.choice([_interval, _secondly]) if number % 8 == 0 else random.choice(kinds)
        name = random.choice(ZONES)
        triggers, instants = kind(random, name, begin, end)
        schedule = {"triggers": triggers, "time_zone": name, "start_time": begin.isoformat()}
        yield Expected(schedule, sorted({instant for instant in instants if begin <= instant < end}))


Found = tuple[list[dict[str, Any]], list[datetime]]


def _seen(name: str, begin: datetime, end: datetime) -> Wall:
    """What clocks show from three hours before until the end."""
    return wall(name, begin - 180 * MINUTE, 180 + (end - begin) // MINUTE + 1)


def _cron(random: Random, name: str, begin: datetime, end: datetime) -> Found:
    step = random.choice((1, 1, 2, 5, 30, 60))
    minutes = "*" if step == 1 else f"*/{step}"
    hour = random.choice((None, None, begin.hour, random.randrange(24)))
    hours = EVERY if hour is None else {hour}
    starred = frozenset({"minutes", "days", "months", "weekdays"} | ({"hours"} if hour is None else set()))
    text = f"{minutes} {'*' if hour is None else hour} * * *"
    oracle = CronOracle(text, frozenset(range(0, 60, step)), frozenset(hours), EVERY, EVERY, EVERY, starred)
    return [{"cron": text}], oracle.times(_seen(name, begin, end), oracle.places())


def _calendar_rule(random: Random, name: str, begin: datetime, end: datetime) -> Found:
    """Every day at some minutes of the hour that clocks show at the beginning."""
    seen = _seen(name, begin, end)
    shown = dict(seen.shown)[begin]
    minutes = sorted({shown.minute, *random.sample(range(60), 5)})
    by = {"BYHOUR": [str(shown.hour)], "BYMINUTE": [str(minute) for minute in minutes]}
    rule = RuleOracle(shown - 2 * DAY, "DAILY", 1, 0, by)
    nominals = rule.nominals(1000, shown.date() + 2 * DAY)
    places = Places("SHIFT", "FIRST")
    return [{"rrule": rule.text}], [time for local in nominals for time in places.of(local, seen)]


def _elapsed_rule(random: Random, name: str, begin: datetime, end: datetime) -> Found:
    seen = _seen(name, begin, end)
    rule = RuleOracle(seen.shown[0][1], random.choice(("MINUTELY", "HOURLY")), random.choice((1, 1, 3)))
    return [{"rrule": rule.text}], list(rule.elapsed(seen))


def _secondly(random: Random, name: str, begin: datetime, end: datetime) -> Found:
    """A rule by the second; some end by their COUNT."""
    seen, seconds, count = _seen(name, begin, end), random.choice((1, 2, 3, 7, 20)), random.choice((None, None, 4))
    anchor, shown = begin, dict(seen.shown)[begin]
    if seen.passes[shown][0] != begin:  # the second time that clocks show it: the rule would mean the first
        return _interval(random, name, begin, end)
    text = f"DTSTART:{shown:%Y%m%dT%H%M%S}\nRRULE:FREQ=SECONDLY;INTERVAL={seconds}"
    instants = list(_steps(anchor, timedelta(seconds=seconds), end))[:count]
    return [{"rrule": text + (f";COUNT={count}" if count else "")}], instants


def _interval(random: Random, _name: str, begin: datetime, end: datetime) -> Found:
    seconds = random.choice((1, 2, 3, 5, 10))
    return [{"interval": f"{seconds}s"}], list(_steps(begin, timedelta(seconds=seconds), end))


def _slow_interval(random: Random, _name: str, begin: datetime, end: datetime) -> Found:
    seconds = random.choice((15, 30, 60, 90))
    return [{"interval": f"{seconds}s"}], list(_steps(begin, timedelta(seconds=seconds), end))


def _once(random: Random, _name: str, begin: datetime, end: datetime) -> Found:
    instant = begin + timedelta(seconds=random.randrange((end - begin) // timedelta(seconds=1)))
    return [{"once": instant.isoformat()}], [instant]


def _union(random: Random, name: str, begin: datetime, end: datetime) -> Found:
    """Two triggers that meet at some instants: each is one occurrence."""
    one, two = _cron(random, name, begin, end), _slow_interval(random, name, begin, end)
    return one[0] + two[0], one[1] + two[1]


def _steps(anchor: datetime, every: timedelta, end: datetime) -> Iterator[datetime]:
    moment = anchor.astimezone(UTC)
    while moment < end:
        yield moment
        moment += every
