"""From nominal local times to instants, on clocks that skip and repeat."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from ordinaut.limits import LAST_YEAR
from scheduler.triggers.localtime.clock_change import FIRST, SHIFT, Placing
from scheduler.triggers.localtime.zone import Resolution, jump, local_time, resolve
from scheduler.triggers.rrule.count_end import CountEnd
from scheduler.triggers.trigger import Firing

_DAY = timedelta(days=1)
_NONE = timedelta()
_LAST_LOCAL = datetime(LAST_YEAR, 12, 31, 23, 59, 59)  # noqa: DTZ001 - local to whatever zone
END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)

Excludes = Callable[[datetime], bool]


class NominalTimes(Protocol):
    """Local times that a rule names, in ascending order."""

    def next(self, local: datetime) -> datetime | None:
        """The first one after the local time, or None up to the year 2200."""


def nothing(instant: datetime) -> bool:
    """Excludes nothing."""
    del instant
    return False


@dataclass(frozen=True, slots=True)
class LocalFirings:
    """The firings of nominal times, up to `until` and, in nominal time, to the end of a COUNT."""

    times: NominalTimes
    where: ZoneInfo
    placing: Placing
    until: datetime = END
    count_end: CountEnd | None = None

    def after(self, instant: datetime, excludes: Excludes = nothing) -> Firing | None:
        """The first firing strictly after the instant that is not excluded.

        The order of nominal times is not quite that of instants: a time shifted out of a gap comes behind those that
        follow the gap, a second pass behind the whole first. So the search begins early enough and goes on until
        nothing earlier can come.
        """
        best: Firing | None = None
        last = self.count_end.last if self.count_end else _LAST_LOCAL
        nominal = self.times.next(self._search_start(instant))
        while nominal is not None and nominal <= last:
            found = resolve(nominal, self.where)
            for firing in self.placing.firings(nominal, found, self.where):
                if instant < firing.time <= self.until and not excludes(firing.time):
                    best = firing if best is None else min(best, firing)
            if not found.skipped and found.first >= (best.time if best else self.until):
                break
            nominal = self.times.next(self._passed(nominal, found))
        return best

    def _passed(self, nominal: datetime, found: Resolution) -> datetime:
        """Up to where nothing new can come: all of a gap has one instant or none, unless its times are shifted."""
        if not found.skipped or self.placing.gap == SHIFT:
            return nominal
        return local_time(jump(found, self.where), self.where).replace(fold=0) - TICK

    def _search_start(self, instant: datetime) -> datetime:
        """The local time at the instant, set back by the gap or the repetition that it may lie in."""
        local = local_time(instant, self.where)
        shown = local.replace(fold=0)
        back = _NONE
        if self.placing.gap == SHIFT:
            back = (shown - local_time(instant - _DAY, self.where).replace(fold=0)) - _DAY
        if self.placing.overlap != FIRST and not local.fold:
            found = resolve(shown, self.where)
            if found.repeated:
                back = max(back, found.second - found.first)
        return shown - max(back, _NONE)
