"""From the nominal times of a rule to instants, up to its end and without what is excluded."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from scheduler.triggers.calendar_rule import CalendarRule
from scheduler.triggers.count_end import CountEnd
from scheduler.triggers.days import LAST_YEAR
from scheduler.triggers.elapsed_rule import ElapsedRule
from scheduler.triggers.trigger import Firing, stamp
from scheduler.triggers.zone import local_time, resolve

_DAY = timedelta(days=1)
_NONE = timedelta()
_LAST_LOCAL = datetime(LAST_YEAR, 12, 31, 23, 59, 59)  # noqa: DTZ001 - local to whatever zone

Excludes = Callable[[datetime], bool]


class Firings(Protocol):
    """A source of firings in ascending order."""

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing strictly after the instant that is not excluded."""


@dataclass(frozen=True, slots=True)
class CalendarFirings:
    """The firings of a rule by the day or longer, up to `until` and, in nominal time, to the end of its COUNT."""

    rule: CalendarRule
    where: ZoneInfo
    until: datetime
    count_end: CountEnd | None

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing after the instant.

        Times in a gap come out behind those that follow the gap, so that the order of nominal times is not quite
        that of instants: the search begins before the last gap and goes on until nothing earlier can come.
        """
        best: Firing | None = None
        last = self.count_end.last if self.count_end else _LAST_LOCAL
        nominal = self.rule.next(self._search_start(instant))
        while nominal is not None and nominal <= last:
            moment = resolve(nominal, self.where)
            if moment.first > instant and moment.first <= self.until and not excludes(moment.first):
                firing = Firing(moment.first, moment.skipped, stamp(nominal))
                best = firing if best is None else min(best, firing)
            if not moment.skipped and moment.first >= (best.time if best else self.until):
                break
            nominal = self.rule.next(nominal)
        return best

    def _search_start(self, instant: datetime) -> datetime:
        """The local time at the instant, set back by the gap of the day before it if there was one."""
        shown = local_time(instant, self.where).replace(fold=0)
        gap = (shown - local_time(instant - _DAY, self.where).replace(fold=0)) - _DAY
        return shown - max(gap, _NONE)


@dataclass(frozen=True, slots=True)
class ElapsedFirings:
    """The firings of a rule in elapsed time, up to `until` and the end of its COUNT; named by UTC time."""

    rule: ElapsedRule
    until: datetime
    count_end: CountEnd | None

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing after the instant."""
        end = min(self.until, self.count_end.last) if self.count_end else self.until
        found = self.rule.next(instant)
        while found is not None and found <= end:
            if not excludes(found):
                return Firing(found, adjusted=False, nominal=stamp(found))
            found = self.rule.next(found)
        return None


class ListedFirings:
    """Firings that are written out one by one."""

    __slots__ = ("_firings", "_times")

    def __init__(self, firings: Iterable[Firing]) -> None:
        self._firings = sorted(firings)
        self._times = [firing.time for firing in self._firings]

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing after the instant."""
        for firing in self._firings[bisect_right(self._times, instant) :]:
            if not excludes(firing.time):
                return firing
        return None
