"""The local days on which nothing of a schedule is due."""

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
    """Exclusions in their stored JSON form, read in the schedule's zone.

    Raises:
        ScheduleError: a rule cannot be read.
    """

    def __init__(self, exclusions: Sequence[Mapping[str, Any]], where: ZoneInfo) -> None:
        self._zone = where
        self._days = frozenset(date.fromisoformat(entry["date"]) for entry in exclusions if "date" in entry)
        self._rules = [_ExcludingRule(entry["rrule"], where) for entry in exclusions if "rrule" in entry]

    def excludes(self, instant: datetime) -> bool:
        """Whether the instant lies on an excluded day.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, of a rule.
        """
        if not self._days and not self._rules:
            return False
        day = local_time(instant, self._zone).date()
        return day in self._days or any(rule.names(day) for rule in self._rules)

    def end_of_day(self, instant: datetime) -> datetime:
        """The last microsecond of the instant's local day."""
        return _midnight(local_time(instant, self._zone).date() + _DAY, self._zone) - TICK


class _ExcludingRule:
    """The days on which a rule has a time.

    It keeps its last answer, since questions come in the order of days: a rule that is silent for years is not searched
    through for each day of them.
    """

    __slots__ = ("_known", "_trigger", "_zone")

    def __init__(self, text: str, where: ZoneInfo) -> None:
        self._trigger = RRuleTrigger(text, where)
        self._zone = where
        self._known: tuple[datetime, datetime] | None = None  # nothing between them, a time at the second

    def names(self, day: date) -> bool:
        """The rule has a time on that local day."""
        begin = _midnight(day, self._zone) - TICK
        known = self._known
        if known is None or not known[0] <= begin < known[1]:
            firing = self._trigger.after(begin)
            self._known = known = (begin, firing.time if firing else END)
        return known[1] != END and local_time(known[1], self._zone).date() == day


def _midnight(day: date, where: ZoneInfo) -> datetime:
    """The first instant of the local day, which clocks may jump over."""
    found = resolve(datetime.combine(day, datetime.min.time()), where)
    return jump(found, where) if found.skipped else found.first
