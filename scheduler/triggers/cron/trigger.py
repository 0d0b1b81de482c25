"""Cron with Vixie's rules, expanded on naive local time.

Source: crontab(5) for the fields and the OR of the two day fields, cron(8) for clock changes: a fixed time that
the clock jumps over (by up to three hours) runs once right after the jump, a fixed time that repeats runs once,
at the first; with `*` in minute or hour the rule follows real time.
"""

from datetime import date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from scheduler.triggers.cron.parse import CronFields, parse_cron
from scheduler.triggers.localtime.clock_change import BOTH, BY_KIND, FIRST, RUN_AFTER, SKIP, Dst, Placing
from scheduler.triggers.localtime.clock_grid import ClockGrid
from scheduler.triggers.localtime.days import next_day
from scheduler.triggers.localtime.firings import LocalFirings
from scheduler.triggers.trigger import Firing, TimeTrigger

_DAY = timedelta(days=1)
_LONGEST_MADE_UP = timedelta(hours=3)
_FIXED = Placing(RUN_AFTER, FIRST, _LONGEST_MADE_UP)
_REAL_TIME = Placing(SKIP, BOTH, _LONGEST_MADE_UP)


class CronTrigger(TimeTrigger):
    """Fires at the local times that a cron expression names.

    Args:
        text: five fields or a nickname.
        where: the zone of the local times.
        dst: what the schedule says about clock changes; it holds with `*` as well.

    Raises:
        ScheduleError: INVALID_CRON.
    """

    __slots__ = ("_firings",)
    kind: ClassVar[str] = "cron"

    def __init__(self, text: str, where: ZoneInfo, dst: Dst = BY_KIND) -> None:
        fields = parse_cron(text)
        placing = _REAL_TIME if fields.real_time else _FIXED
        self._firings = LocalFirings(_CronTimes(fields), where, placing.under(dst))

    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant."""
        return self._firings.after(instant)


class _CronTimes:
    """The local times that the fields name."""

    __slots__ = ("_fields", "_grid", "_months")

    def __init__(self, fields: CronFields) -> None:
        self._fields = fields
        self._grid = ClockGrid(fields.hours, fields.minutes, (0,))
        self._months = frozenset(fields.months)

    def next(self, local: datetime) -> datetime | None:
        """The first one after the local time."""
        day = local.date()
        if self._accepts(day):
            moment = self._grid.following(local.time(), inclusive=False)
            if moment is not None:
                return datetime.combine(day, moment)
        following = next_day(self._accepts, self._months, day + _DAY)
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
