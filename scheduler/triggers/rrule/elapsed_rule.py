"""Rules by the hour or shorter (FREQ=HOURLY, MINUTELY, SECONDLY), counted in real elapsed time from DTSTART.

Each period is an instant, anchor + n x interval. The BY parts apply to the local time of that instant: those longer
than the period limit it, those shorter expand it. A clock change neither skips nor repeats an hour.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from ordinaut.limits import LAST_YEAR
from scheduler.triggers.localtime.clock_grid import ALL_HOURS, ALL_SIXTY, ClockGrid
from scheduler.triggers.localtime.days import next_day
from scheduler.triggers.localtime.zone import jump, local_time, resolve
from scheduler.triggers.problem import too_costly
from scheduler.triggers.rrule.day_sets import DaySets
from scheduler.triggers.rrule.hour_members import PeriodMembers
from scheduler.triggers.rrule.parse import Frequency, Rule

MAX_STEPS = 1_000
"""The maximum number of periods searched for one instant; a rule that needs more is too costly."""

MAX_COUNTED = 500
"""The largest COUNT of a rule which must be counted instant by instant."""

_END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)
_UNIT = {
    Frequency.HOURLY: timedelta(hours=1),
    Frequency.MINUTELY: timedelta(minutes=1),
    Frequency.SECONDLY: timedelta(seconds=1),
}
_DAY = timedelta(days=1)


class ElapsedRule:
    """The instants (UTC) of a rule from its anchor on."""

    __slots__ = ("_anchor", "_limit", "_members", "_rule", "_sets", "_step", "_zone")

    def __init__(self, rule: Rule, anchor: datetime, where: ZoneInfo) -> None:
        self._rule = rule = _by_minute(rule)
        self._anchor = anchor
        self._zone = where
        self._step = rule.interval * _UNIT[rule.frequency]
        self._sets = DaySets(rule)
        by_minute = rule.minutes if rule.frequency >= Frequency.MINUTELY else ()
        by_second = rule.seconds if rule.frequency == Frequency.SECONDLY else ()
        self._limit = ClockGrid(rule.hours or ALL_HOURS, by_minute or ALL_SIXTY, by_second or ALL_SIXTY)
        self._members = PeriodMembers(rule, where)

    def next(self, instant: datetime) -> datetime | None:
        """The first instant of the rule after the given one, or None up to the year 2200.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        since = max(instant, self._anchor - TICK)
        index = max(0, (since - self._anchor) // self._step)
        for _ in range(MAX_STEPS):
            opening = self._opening(index)
            if opening is None:
                return None
            local = local_time(opening, self._zone)
            if not self._passes(local):
                following = self._after_refused(index, local)
                if following is None:
                    return None
                index = following
                continue
            member = self._members.after(since, opening, local)
            if member is not None:
                return member
            index += 1
        raise too_costly(
            f"the next time is more than {MAX_STEPS} steps of {self._rule.frequency.name} ahead; "
            "use a longer FREQ or a smaller INTERVAL"
        )

    def nth(self, count: int) -> datetime:
        """The count-th instant (the first is 1), or the last one up to the year 2200.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        if self._is_plain():
            return self._opening(count - 1) or _END
        if count > MAX_COUNTED:
            raise too_costly(
                f"COUNT must be at most {MAX_COUNTED} with BY parts and this FREQ (got {count}); use UNTIL"
            )
        instant = self._anchor - TICK
        for _ in range(count):
            following = self.next(instant)
            if following is None:
                break
            instant = following
        return instant

    def _is_plain(self) -> bool:
        rule = self._rule
        limits = (rule.months, rule.year_days, rule.month_days, rule.weekdays)
        return not any((*limits, rule.hours, rule.minutes, rule.seconds, rule.positions))

    def _opening(self, index: int) -> datetime | None:
        """The instant of that period; None after the year 2200."""
        return None if index > (_END - self._anchor) // self._step else self._anchor + index * self._step

    def _passes(self, local: datetime) -> bool:
        return local.time() in self._limit and self._sets.accepts(local.date())

    def _after_refused(self, index: int, local: datetime) -> int | None:
        """The next period that may be accepted; inside the first pass of a repeated time only the next one."""
        target = self._target(local.replace(fold=0))
        if target is None:
            return None
        resolution = resolve(local.replace(fold=0), self._zone)
        if resolution.repeated and not local.fold:
            return index + 1
        return max(index + 1, -((self._anchor - self._reached(target)) // self._step))

    def _reached(self, target: datetime) -> datetime:
        """When local clocks first show the time, or jump over it."""
        resolution = resolve(target, self._zone)
        return jump(resolution, self._zone) if resolution.skipped else resolution.first

    def _target(self, local: datetime) -> datetime | None:
        """The first later local time with an accepted day and time of day."""
        if self._sets.accepts(local.date()):
            later = self._limit.following(local.time(), inclusive=False)
            if later is not None:
                return datetime.combine(local.date(), later)
        day = next_day(self._sets.accepts, self._sets.months, local.date() + _DAY)
        return datetime.combine(day, self._limit.at(0)) if day else None


def _by_minute(rule: Rule) -> Rule:
    """Converts HOURLY with BYMINUTE to MINUTELY limited to those minutes.

    The instants are the same, and those in the half hour that some clock changes leave of an hour are found as well.
    """
    every_hour = rule.frequency == Frequency.HOURLY and rule.interval == 1
    return replace(rule, frequency=Frequency.MINUTELY) if every_hour and rule.minutes and not rule.positions else rule
