"""A slow second opinion about time: walks every minute and looks at what clocks show.

It shares nothing with the triggers but the zone files themselves. What it is asked about is generated as values, from
which the text is written, so that it needs no parser either.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LONGEST_MADE_UP_BY_CRON = timedelta(hours=3)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True)
class Wall:
    """What clocks in a zone show at each whole minute of UTC; `jumps` is (instant, first and end of what is lost)."""

    shown: Sequence[tuple[datetime, datetime]]

    @cached_property
    def passes(self) -> Mapping[datetime, list[datetime]]:
        """The instants at which a local minute is shown, in order."""
        found: dict[datetime, list[datetime]] = {}
        for instant, local in self.shown:
            found.setdefault(local, []).append(instant)
        return found

    @cached_property
    def jumps(self) -> Sequence[tuple[datetime, datetime, datetime]]:
        """Where clocks leap ahead: the instant, and [first, end) of the local minutes that nobody sees."""
        return [
            (instant, before + MINUTE, local)
            for (_, before), (instant, local) in zip(self.shown, self.shown[1:], strict=False)
            if local > before + MINUTE
        ]

    def lost(self, local: datetime) -> tuple[datetime, datetime, datetime] | None:
        """The jump that a local minute is lost in."""
        return next((jump for jump in self.jumps if jump[1] <= local < jump[2]), None)


@lru_cache(maxsize=4096)
def wall(name: str, begin: datetime, minutes: int) -> Wall:
    """The clocks of a zone from a moment of UTC on."""
    where = _zone(name)
    moments = (begin + number * MINUTE for number in range(minutes))
    return Wall([(moment, moment.astimezone(where).replace(tzinfo=None, fold=0)) for moment in moments])


@lru_cache
def _zone(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache
def changes(name: str) -> Sequence[datetime]:
    """Days (UTC) on which the zone's offset changes, 1975 to 2037."""
    where = _zone(name)
    noons = [datetime.fromisoformat("1975-01-01T12:00:00Z") + number * DAY for number in range(63 * 365)]
    offsets = [noon.astimezone(where).utcoffset() for noon in noons]
    return [noon for noon, one, two in zip(noons, offsets, offsets[1:], strict=False) if one != two]


@dataclass(frozen=True)
class Places:
    """Where the minutes that a rule names are on the wall: what `gap` and `overlap` of a schedule say."""

    gap: str
    overlap: str
    longest_gap: timedelta = timedelta(days=2)

    def of(self, local: datetime, on: Wall) -> list[datetime]:
        """The instants of a local minute."""
        passes = on.passes.get(local)
        if passes:
            return {"FIRST": passes[:1], "LAST": passes[-1:], "BOTH": passes}[self.overlap]
        lost = on.lost(local)
        if lost is None or self.gap == "SKIP" or lost[2] - lost[1] > self.longest_gap:
            return []
        instant, first, _ = lost
        return [instant if self.gap == "RUN_AFTER" else instant + (local - first)]


@dataclass(frozen=True)
class CronOracle:
    """A cron expression as sets of values; `starred` are the fields whose text begins with a star."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    starred: frozenset[str]

    def places(self, gap: str = "", overlap: str = "") -> Places:
        """What is said, else Vixie: fixed times are made up after short gaps and run once, others follow real time."""
        real_time = bool(self.starred & {"minutes", "hours"})
        by_kind = ("SKIP", "BOTH") if real_time else ("RUN_AFTER", "FIRST")
        return Places(gap or by_kind[0], overlap or by_kind[1], LONGEST_MADE_UP_BY_CRON)

    def fits(self, local: datetime) -> bool:
        """The expression names the local minute."""
        if local.minute not in self.minutes or local.hour not in self.hours or local.month not in self.months:
            return False
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.starred & {"days", "weekdays"} else (day or weekday)

    def times(self, on: Wall, places: Places) -> list[datetime]:
        """Every instant on the wall, in order."""
        locals_ = {local for _, local in on.shown}
        for _, first, end in on.jumps:
            locals_ |= {first + number * MINUTE for number in range((end - first) // MINUTE)}
        return sorted({instant for local in locals_ if self.fits(local) for instant in places.of(local, on)})


@dataclass(frozen=True)
class RuleOracle:
    """An RRULE as values: FREQ, INTERVAL, WKST and BY parts; `start` is a whole local minute."""

    start: datetime
    freq: str
    interval: int = 1
    week_start: int = 0
    by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    count: int | None = None

    @property
    def text(self) -> str:
        """As an rrule trigger writes it."""
        parts = [f"FREQ={self.freq}", f"INTERVAL={self.interval}", f"WKST={WEEKDAYS[self.week_start]}"]
        parts += [f"{name}={','.join(values)}" for name, values in self.by.items()]
        parts += [f"COUNT={self.count}"] if self.count else []
        return f"DTSTART:{self.start:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}"

    def nominals(self, number: int, end: date) -> list[datetime]:
        """The first local times of a rule by the day or longer, before the end."""
        found: list[datetime] = []
        members: list[datetime] = []
        period = self._period(self.start.date())
        day = self._opening()
        while day < end and len(found) < min(number, self.count or number):
            if self._period(day) != period:
                found += self._chosen(members)
                members, period = [], self._period(day)
            if (period - self._period(self.start.date())) % self.interval == 0 and self._day_fits(day):
                members += [local for local in _minutes_of(day) if self._clock_fits(local)]
            day += DAY
        return found[: min(number, self.count or number)]

    def elapsed(self, on: Wall) -> Iterator[datetime]:
        """The instants on the wall of a rule by the hour or minute; the wall begins before the start."""
        anchor = on.passes[self.start][0]
        step = self.interval * (60 if self.freq == "HOURLY" else 1)
        for instant, local in on.shown:
            since = (instant - anchor) // MINUTE
            expands = self.freq == "HOURLY" and "BYMINUTE" in self.by  # generated with INTERVAL=1 only
            aligned = expands or since % step == 0
            if since >= 0 and aligned and self._day_limits(local.date()) and self._limits_clock(local):
                yield instant

    def _opening(self) -> date:
        """The first day of the start's period: BYSETPOS counts from there."""
        day = self.start.date()
        while self._period(day - DAY) == self._period(day):
            day -= DAY
        return day

    def _period(self, day: date) -> int:
        week = (day - date(1969, 12, 29) - self.week_start * DAY) // (7 * DAY)
        return {"YEARLY": day.year, "MONTHLY": day.year * 12 + day.month, "WEEKLY": week}.get(
            self.freq, day.toordinal()
        )

    def _chosen(self, members: list[datetime]) -> list[datetime]:
        if "BYSETPOS" in self.by:
            places = [int(place) for place in self.by["BYSETPOS"]]
            places = [place - 1 if place > 0 else len(members) + place for place in places]
            members = sorted({members[place] for place in places if 0 <= place < len(members)})
        return [local for local in members if local >= self.start]

    def _clock_fits(self, local: datetime) -> bool:
        hours = self.by.get("BYHOUR", [str(self.start.hour)])
        return str(local.hour) in hours and str(local.minute) in self.by.get("BYMINUTE", [str(self.start.minute)])

    def _limits_clock(self, local: datetime) -> bool:
        return all(
            name not in self.by or str(value) in self.by[name]
            for name, value in (("BYHOUR", local.hour), ("BYMINUTE", local.minute))
        )

    def _day_fits(self, day: date) -> bool:
        return self._day_limits(day) and self._day_of_start(day)

    def _day_of_start(self, day: date) -> bool:
        """What the rule leaves open is as it is at the start."""
        if {"BYDAY", "BYMONTHDAY", "BYYEARDAY"} & set(self.by) or self.freq == "DAILY":
            return True
        if self.freq == "WEEKLY" or "BYWEEKNO" in self.by:
            return day.weekday() == self.start.weekday()
        same_month = self.freq == "MONTHLY" or "BYMONTH" in self.by or day.month == self.start.month
        return same_month and day.day == self.start.day

    def _day_limits(self, day: date) -> bool:
        in_month, in_year = monthrange(day.year, day.month)[1], date(day.year, 12, 31).timetuple().tm_yday
        year_day = day.timetuple().tm_yday
        iso_year, week, _ = day.isocalendar()
        weeks = date(iso_year, 12, 28).isocalendar().week
        checks = {
            "BYMONTH": {str(day.month)},
            "BYMONTHDAY": {str(day.day), str(day.day - in_month - 1)},
            "BYYEARDAY": {str(year_day), str(year_day - in_year - 1)},
            "BYWEEKNO": {str(week), str(week - weeks - 1)},
            "BYDAY": self._names_of(day, in_month, year_day, in_year),
        }
        return all(set(self.by[name]) & fitting for name, fitting in checks.items() if name in self.by)

    def _names_of(self, day: date, in_month: int, year_day: int, in_year: int) -> set[str]:
        """How BYDAY may call the day: FR, 2FR, -3FR."""
        place, size = (day.day, in_month) if self.freq == "MONTHLY" or "BYMONTH" in self.by else (year_day, in_year)
        name = WEEKDAYS[day.weekday()]
        return {name, f"{(place - 1) // 7 + 1}{name}", f"{-((size - place) // 7 + 1)}{name}"}


def _minutes_of(day: date) -> Iterator[datetime]:
    midnight = datetime.combine(day, datetime.min.time())
    return (midnight + number * MINUTE for number in range(24 * 60))
