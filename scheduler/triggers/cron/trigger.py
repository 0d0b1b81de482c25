"""Cron with Vixie's rules, expanded on naive local time.

Source: crontab(5) for the fields and the OR of the two day fields, cron(8) for clock changes: a fixed time in a gap of
up to three hours runs once, right after the gap; a fixed time that repeats runs once, at the first pass; with `*` in
minute or hour the rule follows real time.
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
_MAX_GAP = timedelta(hours=3)
_FIXED = Placing(RUN_AFTER, FIRST, _MAX_GAP)
_REAL_TIME = Placing(SKIP, BOTH, _MAX_GAP)


class CronTrigger(TimeTrigger):
    """Fires at the local times that a cron expression names.

    Args:
        text: five fields or a nickname.
        where: the zone of the local times.
        dst: the schedule's setting for clock changes; it applies with `*` as well.

    Raises:
        ScheduleError: INVALID_CRON.

    In Chisinau the clock jumps from 02:00 to 03:00 on 2026-03-29; what was due at 02:30 runs at 03:00 (00:00 UTC).

    >>> trigger = CronTrigger("30 2 * * *", ZoneInfo("Europe/Chisinau"))
    >>> firing = trigger.after(datetime.fromisoformat("2026-03-28T12:00Z"))
    >>> firing.time.isoformat(), firing.nominal, firing.adjusted
    ('2026-03-29T00:00:00+00:00', '20260329T023000', True)
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
            clock_time = self._grid.following(local.time(), inclusive=False)
            if clock_time is not None:
                return datetime.combine(day, clock_time)
        following = next_day(self._accepts, self._months, day + _DAY)
        return datetime.combine(following, self._grid.at(0)) if following else None

    def _accepts(self, day: date) -> bool:
        """Vixie's rule: both day fields must match if one begins with `*`, else either of them."""
        fields = self._fields
        if day.month not in self._months:
            return False
        by_day = day.day in fields.days
        by_weekday = day.isoweekday() % 7 in fields.weekdays
        if fields.any_day or fields.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday
