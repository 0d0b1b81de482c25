"""Converts nominal local times to instants, on clocks that skip and repeat times."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from ordinaut.limits import LAST_YEAR
from scheduler.triggers.localtime.clock_change import FIRST, SHIFT, Placing
from scheduler.triggers.localtime.zone import Resolution, jump, local_time, resolve
from scheduler.triggers.trigger import Firing

_DAY = timedelta(days=1)
_NONE = timedelta()
_LAST_LOCAL = datetime(LAST_YEAR, 12, 31, 23, 59, 59)  # noqa: DTZ001 - local to any zone
END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC)

Excludes = Callable[[datetime], bool]


class NominalTimes(Protocol):
    """The local times of a rule, in ascending order."""

    def next(self, local: datetime) -> datetime | None:
        """The first one after the local time, or None up to the year 2200."""


class NominalEnd(Protocol):
    """The end of a COUNT."""

    @property
    def last(self) -> datetime:
        """The last instant (aware) or the last nominal time (naive)."""


def nothing(instant: datetime) -> bool:
    """Excludes nothing."""
    del instant
    return False


@dataclass(frozen=True, slots=True)
class LocalFirings:
    """The firings of nominal times, up to `until` and to the end of a COUNT."""

    times: NominalTimes
    where: ZoneInfo
    placing: Placing
    until: datetime = END
    count_end: NominalEnd | None = None

    def after(self, instant: datetime, excludes: Excludes = nothing) -> Firing | None:
        """The first firing strictly after the instant that is not excluded.

        The order of nominal times differs from that of instants: a time shifted out of a gap is later than those which
        follow the gap, and a second pass is later than the whole first one. So the search begins early enough and
        continues until no earlier instant can follow.
        """
        best: Firing | None = None
        until, last = self._ends()
        nominal = self.times.next(self._search_start(instant))
        while nominal is not None and nominal <= last:
            resolution = resolve(nominal, self.where)
            for firing in self.placing.firings(nominal, resolution, self.where):
                if instant < firing.time <= until and not excludes(firing.time):
                    best = firing if best is None else min(best, firing)
            if not resolution.skipped and resolution.first >= (best.time if best else until):
                break
            nominal = self.times.next(self._skip_gap(nominal, resolution))
        return best

    def _ends(self) -> tuple[datetime, datetime]:
        """The last instant, and the last nominal time."""
        last = self.count_end.last if self.count_end else _LAST_LOCAL
        return (self.until, last) if last.tzinfo is None else (min(self.until, last), _LAST_LOCAL)

    def _skip_gap(self, nominal: datetime, resolution: Resolution) -> datetime:
        """Where to continue: after the whole gap, unless its times are shifted and so have different instants."""
        if not resolution.skipped or self.placing.gap == SHIFT:
            return nominal
        return local_time(jump(resolution, self.where), self.where).replace(fold=0) - TICK

    def _search_start(self, instant: datetime) -> datetime:
        """The local time of the instant, set back by the length of a gap or repetition around it."""
        local = local_time(instant, self.where)
        unfolded = local.replace(fold=0)
        back = _NONE
        if self.placing.gap == SHIFT:
            back = (unfolded - local_time(instant - _DAY, self.where).replace(fold=0)) - _DAY
        if self.placing.overlap != FIRST and not local.fold:
            resolution = resolve(unfolded, self.where)
            if resolution.repeated:
                back = max(back, resolution.second - resolution.first)
        return unfolded - max(back, _NONE)
