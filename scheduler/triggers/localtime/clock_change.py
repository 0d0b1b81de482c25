"""Where a local time lies that clocks skip or show twice: what `dst` of a schedule decides."""

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
    """The `dst` of a schedule as written; what is empty is decided by the kind of trigger."""

    gap: str = ""
    overlap: str = ""

    @classmethod
    def of(cls, schedule: Mapping[str, Any]) -> "Dst":
        """What the stored JSON form of a schedule says."""
        dst = schedule.get("dst", {})
        return cls(dst.get("gap", ""), dst.get("overlap", ""))


BY_KIND = Dst()


@dataclass(frozen=True, slots=True)
class Placing:
    """The rule that gives a local time its instants.

    `gap`: RUN_AFTER is the moment the clock jumps, SHIFT goes by the offset before the jump, SKIP is none.
    `overlap`: the FIRST pass of a repeated time, the LAST, or BOTH. Nothing is made up after a gap longer than
    `longest_gap`.
    """

    gap: str
    overlap: str
    longest_gap: timedelta = ANY_LENGTH

    def under(self, dst: Dst) -> "Placing":
        """This rule where the schedule says nothing, else what it says."""
        return Placing(dst.gap or self.gap, dst.overlap or self.overlap, self.longest_gap)

    def firings(self, nominal: datetime, found: Resolution, where: ZoneInfo) -> Iterator[Firing]:
        """The firings of a nominal local time; a second pass is named `~2`, a time in a gap by what the rule says."""
        if found.skipped:
            if self.gap != SKIP and found.first - found.second <= self.longest_gap:
                instant = found.first if self.gap == SHIFT else jump(found, where)
                yield Firing(instant, adjusted=True, nominal=stamp(nominal))
            return
        if not found.repeated or self.overlap != LAST:
            yield Firing(found.first, adjusted=False, nominal=stamp(nominal))
        if found.repeated and self.overlap != FIRST:
            yield Firing(found.second, adjusted=False, nominal=stamp(nominal) + "~2")
