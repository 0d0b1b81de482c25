"""The local days on which nothing of a schedule is due."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.triggers.rrule import RRuleTrigger
from scheduler.triggers.zone import jump, local_time, resolve

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)
_DAYS_KEPT = 1024


class Exclusions:
    """Exclusions in their stored JSON form, read in the schedule's zone.

    Raises:
        ScheduleError: a rule cannot be read.
    """

    def __init__(self, exclusions: Sequence[Mapping[str, Any]], where: ZoneInfo) -> None:
        self._zone = where
        self._days = frozenset(date.fromisoformat(entry["date"]) for entry in exclusions if "date" in entry)
        self._rules = [RRuleTrigger(entry["rrule"], where) for entry in exclusions if "rrule" in entry]
        self._named = lru_cache(maxsize=_DAYS_KEPT)(self._is_named)

    def excludes(self, instant: datetime) -> bool:
        """Whether the instant lies on an excluded day.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, of a rule.
        """
        if not self._days and not self._rules:
            return False
        return self._named(local_time(instant, self._zone).date())

    def end_of_day(self, instant: datetime) -> datetime:
        """The last microsecond of the instant's local day."""
        return self._midnight(local_time(instant, self._zone).date() + _DAY) - _TICK

    def _is_named(self, day: date) -> bool:
        return day in self._days or any(self._has_time_on(rule, day) for rule in self._rules)

    def _has_time_on(self, rule: RRuleTrigger, day: date) -> bool:
        firing = rule.after(self._midnight(day) - _TICK)
        return firing is not None and local_time(firing.time, self._zone).date() == day

    def _midnight(self, day: date) -> datetime:
        """The first instant of the local day, which clocks may jump over."""
        found = resolve(datetime.combine(day, datetime.min.time()), self._zone)
        return jump(found, self._zone) if found.skipped else found.first
