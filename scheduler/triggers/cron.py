"""Cron with Vixie's rules, expanded on naive local time.

Source: crontab(5) for the fields and the OR of the two day fields, cron(8) for clock changes: a fixed time that
the clock jumps over (by up to three hours) runs once right after the jump, a fixed time that repeats runs once,
at the first; with `*` in minute or hour the rule follows real time.
"""

from datetime import date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from scheduler.triggers.clock_grid import ClockGrid
from scheduler.triggers.cron_text import parse_cron
from scheduler.triggers.days import next_day
from scheduler.triggers.trigger import Firing, TimeTrigger, stamp
from scheduler.triggers.zone import Resolution, jump, local_time, resolve

_LONGEST_MADE_UP = timedelta(hours=3)


class CronTrigger(TimeTrigger):
    """Fires at the local times that a cron expression names.

    Raises:
        ScheduleError: INVALID_CRON.
    """

    __slots__ = ("_fields", "_grid", "_months", "_zone")
    kind: ClassVar[str] = "cron"

    def __init__(self, text: str, where: ZoneInfo) -> None:
        self._fields = parse_cron(text)
        self._grid = ClockGrid(self._fields.hours, self._fields.minutes, (0,))
        self._months = frozenset(self._fields.months)
        self._zone = where

    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant."""
        if self._fields.real_time:
            return self._after_in_real_time(instant)
        return self._after_fixed(instant)

    def _after_fixed(self, instant: datetime) -> Firing | None:
        """Every nominal time has one instant, and these never run backwards: the first later one is the answer."""
        nominal = self._nominal(local_time(instant, self._zone), inclusive=False)
        while nominal is not None:
            moment = resolve(nominal, self._zone)
            firing = self._made_up(nominal, moment) if moment.skipped else _plain(nominal, moment.first)
            if firing is not None and firing.time > instant:
                return firing
            nominal = self._nominal(nominal, inclusive=False)
        return None

    def _made_up(self, nominal: datetime, gap: Resolution) -> Firing | None:
        """Right after the jump, under its own name if the rule names that time too; None for a lost day."""
        if gap.first - gap.second > _LONGEST_MADE_UP:
            return None
        change = jump(gap, self._zone)
        landing = local_time(change, self._zone)
        if self._accepts(landing.date()) and landing.second == 0 and landing.time() in self._grid:
            return _plain(landing, change)
        return Firing(change, adjusted=True, nominal=stamp(nominal))

    def _after_in_real_time(self, instant: datetime) -> Firing | None:
        """What clocks really show: nothing in a gap, both passes of a repeated hour."""
        shown = local_time(instant, self._zone)
        ahead = self._first_pass_or_second(instant, shown.replace(fold=0))
        now = resolve(shown.replace(fold=0), self._zone)
        if not now.repeated or shown.fold == 1:
            return ahead
        again = self._second_pass(instant, shown.replace(fold=0) - (now.second - now.first))
        return min((firing for firing in (ahead, again) if firing), default=None)

    def _first_pass_or_second(self, instant: datetime, shown: datetime) -> Firing | None:
        nominal = self._nominal(shown, inclusive=False)
        while nominal is not None:
            moment = resolve(nominal, self._zone)
            if moment.skipped:
                landing = local_time(jump(moment, self._zone), self._zone)
                nominal = self._nominal(landing, inclusive=True)
                continue
            if moment.first > instant:
                return _plain(nominal, moment.first)
            if moment.second > instant:
                return _again(nominal, moment.second)
            nominal = self._nominal(nominal, inclusive=False)
        return None

    def _second_pass(self, instant: datetime, start: datetime) -> Firing | None:
        """The first firing after the clock is set back, asked for from inside the first pass."""
        nominal = self._nominal(start, inclusive=True)
        while nominal is not None:
            moment = resolve(nominal, self._zone)
            if moment.repeated and moment.second > instant:
                return _again(nominal, moment.second)
            if moment.first > instant:
                return None
            nominal = self._nominal(nominal, inclusive=False)
        return None

    def _nominal(self, local: datetime, *, inclusive: bool) -> datetime | None:
        """The first nominal time after the local time (or at it, if inclusive)."""
        day = local.date()
        if self._accepts(day):
            moment = self._grid.following(local.time(), inclusive=inclusive and not local.microsecond)
            if moment is not None:
                return datetime.combine(day, moment)
        following = next_day(self._accepts, self._months, day + timedelta(days=1))
        return datetime.combine(following, self._grid.at(0)) if following else None

    def _accepts(self, day: date) -> bool:
        """Vixie: both day fields must fit if one begins with `*`, else either of them."""
        fields = self._fields
        if day.month not in self._months:
            return False
        by_day = day.day in fields.days
        by_weekday = day.isoweekday() % 7 in fields.weekdays
        if fields.any_day or fields.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday


def _plain(nominal: datetime, instant: datetime) -> Firing:
    return Firing(instant, adjusted=False, nominal=stamp(nominal))


def _again(nominal: datetime, instant: datetime) -> Firing:
    return Firing(instant, adjusted=False, nominal=stamp(nominal) + "~2")
