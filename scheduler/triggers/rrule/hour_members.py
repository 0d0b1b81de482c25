"""The minutes and seconds that BYMINUTE, BYSECOND and BYSETPOS select inside one elapsed hour or minute."""

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from scheduler.triggers.localtime.clock_grid import ClockGrid
from scheduler.triggers.localtime.zone import local_time
from scheduler.triggers.rrule.parse import Frequency, Rule


class PeriodMembers:
    """Expands a period of a rule with FREQ=HOURLY, MINUTELY or SECONDLY into its instants."""

    __slots__ = ("_length", "_rule", "_zone")

    def __init__(self, rule: Rule, where: ZoneInfo) -> None:
        self._rule = rule
        self._zone = where
        self._length = timedelta(hours=1) if rule.frequency == Frequency.HOURLY else timedelta(minutes=1)

    def after(self, since: datetime, instant: datetime, local: datetime) -> datetime | None:
        """The first member after `since` in the period of the instant, which is `local` in local time."""
        grid = self._grid(local)
        opening = self._opening(instant, local)
        if self._rule.positions or not self._is_steady(opening):
            members = self._chosen(list(self._all(grid, opening)))
            return next((member for member in members if member > since), None)
        if since >= opening + self._length:
            return None
        rank = grid.rank(_clock(since - opening)) if since >= opening else 0
        return opening + _within(grid, rank) if rank < len(grid) else None

    def _grid(self, local: datetime) -> ClockGrid:
        """Minutes and seconds relative to the opening of the period; those not in the rule are from the local time."""
        rule = self._rule
        seconds = rule.seconds if rule.seconds and rule.frequency < Frequency.SECONDLY else (local.second,)
        if rule.frequency != Frequency.HOURLY:
            return ClockGrid((0,), (0,), seconds)
        return ClockGrid((0,), rule.minutes or (local.minute,), seconds)

    def _opening(self, instant: datetime, local: datetime) -> datetime:
        minutes = local.minute if self._rule.frequency == Frequency.HOURLY else 0
        return instant - timedelta(minutes=minutes, seconds=local.second, microseconds=local.microsecond)

    def _is_steady(self, opening: datetime) -> bool:
        """Whether the period contains no clock change."""
        closing = opening + self._length - TICK
        local_length = local_time(closing, self._zone) - local_time(opening, self._zone)
        return local_length == closing - opening

    def _all(self, grid: ClockGrid, opening: datetime) -> Iterator[datetime]:
        """Every member of the period, except those that a clock change moves to another minute."""
        for place in range(len(grid)):
            within = _within(grid, place)
            member = opening + within
            local = local_time(member, self._zone)
            in_period = timedelta(minutes=local.minute, seconds=local.second) % self._length
            if in_period == within:
                yield member

    def _chosen(self, members: Sequence[datetime]) -> Sequence[datetime]:
        if not self._rule.positions:
            return members
        number = len(members)
        places = {place - 1 if place > 0 else number + place for place in self._rule.positions}
        return [members[place] for place in sorted(places) if 0 <= place < number]


def _clock(within: timedelta) -> time:
    """A duration shorter than an hour as a time of day, in whole seconds."""
    minute, second = divmod(within // timedelta(seconds=1), 60)
    return time(0, minute, second)


def _within(grid: ClockGrid, place: int) -> timedelta:
    clock = grid.at(place)
    return timedelta(minutes=clock.minute, seconds=clock.second)
