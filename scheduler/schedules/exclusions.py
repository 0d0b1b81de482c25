"""The local days on which a schedule is excluded."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from scheduler.triggers.localtime.firings import END
from scheduler.triggers.localtime.zone import jump, local_time, resolve
from scheduler.triggers.rrule.trigger import RRuleTrigger

_DAY = timedelta(days=1)


class Exclusions:
    """Exclusions in their stored JSON form. Rules are read in the schedule's zone; their days are days of any zone.

    Raises:
        ScheduleError: a rule cannot be read.
    """

    def __init__(self, exclusions: Sequence[Mapping[str, Any]], where: ZoneInfo) -> None:
        self._days = frozenset(date.fromisoformat(entry["date"]) for entry in exclusions if "date" in entry)
        self._rules = [_ExcludingRule(entry["rrule"], where) for entry in exclusions if "rrule" in entry]

    def excludes(self, instant: datetime, where: ZoneInfo) -> bool:
        """Whether the instant is on an excluded day of that zone.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, of a rule.
        """
        if not self._days and not self._rules:
            return False
        day = local_time(instant, where).date()
        return day in self._days or any(rule.excludes(day) for rule in self._rules)

    def end_of_day(self, instant: datetime, where: ZoneInfo) -> datetime:
        """The last microsecond of the instant's day in that zone."""
        return _midnight(local_time(instant, where).date() + _DAY, where) - TICK


class _ExcludingRule:
    """The days on which a rule has a time.

    It caches the last search, because days are queried in order: a rule without a time for years is searched once and
    not for each of those days.
    """

    __slots__ = ("_cached", "_trigger", "_zone")

    def __init__(self, text: str, where: ZoneInfo) -> None:
        self._trigger = RRuleTrigger(text, where)
        self._zone = where
        self._cached: tuple[datetime, datetime] | None = None  # no time between both, one at the second

    def excludes(self, day: date) -> bool:
        """Whether the rule has a time on that local day."""
        begin = _midnight(day, self._zone) - TICK
        cached = self._cached
        if cached is None or not cached[0] <= begin < cached[1]:
            firing = self._trigger.after(begin)
            self._cached = cached = (begin, firing.time if firing else END)
        return cached[1] != END and local_time(cached[1], self._zone).date() == day


def _midnight(day: date, where: ZoneInfo) -> datetime:
    """The first instant of the local day, which clocks may jump over."""
    resolution = resolve(datetime.combine(day, datetime.min.time()), where)
    return jump(resolution, where) if resolution.skipped else resolution.first
