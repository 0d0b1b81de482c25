"""Sources of firings that are not local times on a calendar: elapsed time, and listed dates."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from scheduler.triggers.localtime.firings import Excludes
from scheduler.triggers.rrule.count_end import CountEnd
from scheduler.triggers.rrule.elapsed_rule import ElapsedRule
from scheduler.triggers.trigger import Firing, stamp


class Firings(Protocol):
    """A source of firings in ascending order."""

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing strictly after the instant that is not excluded."""


@dataclass(frozen=True, slots=True)
class ElapsedFirings:
    """The firings of a rule in elapsed time, up to `until` and the end of its COUNT; their nominal time is UTC."""

    rule: ElapsedRule
    until: datetime
    count_end: CountEnd | None

    def after(self, instant: datetime, excludes: Excludes) -> Firing | None:
        """The first firing after the instant."""
        end = min(self.until, self.count_end.last) if self.count_end else self.until
        time = self.rule.next(instant)
        while time is not None and time <= end:
            if not excludes(time):
                return Firing(time, adjusted=False, nominal=stamp(time))
            time = self.rule.next(time)
        return None


class ListedFirings:
    """Firings that the rule lists (RDATE)."""

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
