"""Cron and rules around clock changes against a slow oracle that walks every minute."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import pytest

from scheduler.triggers.cron.trigger import CronTrigger
from scheduler.triggers.localtime.zone import Resolution, jump, local_time, resolve, zone
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import TimeTrigger

MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=27)
CHANGES = [
    ("America/New_York", "2026-03-08T07:00Z"), ("America/New_York", "2026-11-01T06:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"), ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("Africa/Casablanca", "2026-02-15T02:00Z"), ("Africa/Casablanca", "2026-03-22T02:00Z"),
    ("Antarctica/Troll", "2026-03-29T01:00Z"), ("Antarctica/Troll", "2026-10-25T01:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00Z"), ("America/Sao_Paulo", "2018-02-18T02:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"), ("Africa/Cairo", "2026-04-23T22:00Z"),
]  # fmt: skip
CRONS = [(minutes, hours) for minutes in ("0", "*/20", "30", "5,45") for hours in ("*", "1-3", "*/2", "0", "23", "2")]
MINUTES = {"0": {0}, "*/20": {0, 20, 40}, "30": {30}, "5,45": {5, 45}}
HOURS = {"*": set(range(24)), "1-3": {1, 2, 3}, "*/2": set(range(0, 24, 2)), "0": {0}, "23": {23}, "2": {2}}


def walked(trigger: TimeTrigger, begin: datetime, end: datetime) -> list[datetime]:
    """What the trigger yields in (begin, end)."""
    found = []
    firing = trigger.after(begin)
    while firing is not None and firing.time < end:
        found.append(firing.time)
        firing = trigger.after(firing.time)
    return found


def every_minute(begin: datetime, end: datetime) -> list[datetime]:
    """The whole minutes in (begin, end)."""
    return [begin + number * MINUTE for number in range(1, (end - begin) // MINUTE)]


@lru_cache
def clocks(name: str, change: str) -> list[tuple[datetime, datetime]]:
    """Every minute around the change with what clocks show."""
    middle = datetime.fromisoformat(change)
    return [(moment, local_time(moment, zone(name))) for moment in every_minute(middle - AROUND, middle + AROUND)]


@lru_cache
def nominals(name: str, change: str) -> list[tuple[datetime, Resolution]]:
    """Every local minute around the change with its instants."""
    middle = local_time(datetime.fromisoformat(change), zone(name)).replace(fold=0)
    wide = AROUND + timedelta(days=2)
    return [(local, resolve(local, zone(name))) for local in every_minute(middle - wide, middle + wide)]


def fixed_times(name: str, found: list[Resolution]) -> set[datetime]:
    """Vixie's rule for fixed times."""
    made_up = {
        jump(moment, zone(name))
        for moment in found
        if moment.skipped and moment.first - moment.second <= timedelta(hours=3)
    }
    return made_up | {moment.first for moment in found if not moment.skipped}


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_cron(name: str, change: str) -> None:
    """With `*` what clocks show counts; fixed times run once each, made up after a gap of up to three hours."""
    begin, end = (datetime.fromisoformat(change) + sign * AROUND for sign in (-1, 1))
    for minute, hour in CRONS:

        def fits(local: datetime, minute: str = minute, hour: str = hour) -> bool:
            return local.minute in MINUTES[minute] and local.hour in HOURS[hour]

        if "*" in minute + hour:
            expected = {moment for moment, local in clocks(name, change) if fits(local)}
        else:
            expected = fixed_times(name, [moment for local, moment in nominals(name, change) if fits(local)])
        trigger = CronTrigger(f"{minute} {hour} * * *", zone(name))
        assert walked(trigger, begin, end) == sorted(moment for moment in expected if begin < moment < end)


@pytest.mark.parametrize(("name", "change"), CHANGES)
@pytest.mark.parametrize(("hours", "minutes"), [("0,1,2,3,23", "0,15,45"), ("2,3", "0"), ("1", "30"), ("23", "59")])
def test_daily_rules(name: str, change: str, hours: str, minutes: str) -> None:
    """Every local time once: the first of two, and by the offset before the gap."""
    begin, end = (datetime.fromisoformat(change) + sign * AROUND for sign in (-1, 1))
    start = local_time(begin - timedelta(days=3), zone(name)).replace(hour=0, minute=0, fold=0)
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:FREQ=DAILY;BYHOUR={hours};BYMINUTE={minutes}"
    expected = {
        moment.first
        for local, moment in nominals(name, change)
        if str(local.hour) in hours.split(",") and str(local.minute) in minutes.split(",")
    }
    found = walked(RRuleTrigger(text, zone(name)), begin, end)
    assert found == sorted(moment for moment in expected if begin < moment < end)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_rules_in_elapsed_time(name: str, change: str) -> None:
    """No hour is lost and none runs double; BY parts look at what clocks show."""
    begin, end = (datetime.fromisoformat(change) + sign * AROUND for sign in (-1, 1))
    start = f"DTSTART:{local_time(begin - timedelta(days=1), zone(name)):%Y%m%dT%H0000}\nRRULE:"
    shown = clocks(name, change)
    hours = {moment for moment, local in shown if local.minute in {0, 30, 45}}
    assert walked(RRuleTrigger(start + "FREQ=HOURLY;BYMINUTE=0,30,45", zone(name)), begin, end) == sorted(hours)
    quarters = {moment for moment, local in shown if local.minute % 15 == 0 and local.hour in {1, 2, 23}}
    text = "FREQ=MINUTELY;INTERVAL=15;BYHOUR=1,2,23"
    assert walked(RRuleTrigger(start + text, zone(name)), begin, end) == sorted(quarters)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_next_from_any_time(name: str, change: str) -> None:
    """The answer does not depend on asking from a firing."""
    middle = datetime.fromisoformat(change).astimezone(UTC)
    begin, end = middle - timedelta(hours=5), middle + timedelta(hours=5)
    moments = [begin + number * timedelta(minutes=7, seconds=13) for number in range(80)]
    for text in ("*/20 * * * *", "30 2 * * *", "15 1-3 * * *", "0 */2 * * *"):
        trigger = CronTrigger(text, zone(name))
        times = walked(trigger, begin, end + timedelta(days=2))
        for moment in moments:
            firing = trigger.after(moment)
            assert firing is not None
            assert firing.time == next(time for time in times if time > moment)
