"""The instants of a local time that clocks skip or repeat, by the `dst` setting of a schedule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.triggers.localtime.zone import Resolution, jump
from scheduler.triggers.trigger import Firing, stamp

RUN_AFTER, SHIFT, SKIP = "RUN_AFTER", "SHIFT", "SKIP"
FIRST, LAST, BOTH = "FIRST", "LAST", "BOTH"
ANY_LENGTH = timedelta.max


@dataclass(frozen=True, slots=True)
class Dst:
    """The `dst` of a schedule; an empty value leaves the decision to the kind of trigger."""

    gap: str = ""
    overlap: str = ""

    @classmethod
    def of(cls, schedule: Mapping[str, Any]) -> "Dst":
        """The setting of a schedule in its stored JSON form."""
        dst = schedule.get("dst", {})
        return cls(dst.get("gap", ""), dst.get("overlap", ""))


BY_KIND = Dst()


@dataclass(frozen=True, slots=True)
class Placing:
    """Assigns instants to local times.

    `gap`: RUN_AFTER fires when the clock jumps, SHIFT by the offset before the jump, SKIP not at all. `overlap`: the
    FIRST pass of a repeated time, the LAST, or BOTH. Times in a gap longer than `max_gap` never fire.
    """

    gap: str
    overlap: str
    max_gap: timedelta = ANY_LENGTH

    def under(self, dst: Dst) -> "Placing":
        """This rule with the values that the schedule sets."""
        return Placing(dst.gap or self.gap, dst.overlap or self.overlap, self.max_gap)

    def firings(self, nominal: datetime, resolution: Resolution, where: ZoneInfo) -> Iterator[Firing]:
        """The firings of a nominal local time; the name of a second pass ends with `~2`."""
        if resolution.skipped:
            if self.gap != SKIP and resolution.first - resolution.second <= self.max_gap:
                instant = resolution.first if self.gap == SHIFT else jump(resolution, where)
                yield Firing(instant, adjusted=True, nominal=stamp(nominal))
            return
        if not resolution.repeated or self.overlap != LAST:
            yield Firing(resolution.first, adjusted=False, nominal=stamp(nominal))
        if resolution.repeated and self.overlap != FIRST:
            yield Firing(resolution.second, adjusted=False, nominal=stamp(nominal) + "~2")
