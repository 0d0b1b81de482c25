"""RFC 5545 recurrence: DTSTART, RRULE, RDATE and EXDATE as one trigger.

By default a local time that the clock jumps over is taken with the offset before the jump (02:30 becomes 03:30), and
one that repeats fires at its first pass. Source: RFC 5545 §3.3.5, §3.3.10, §3.8.5.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from functools import partial
from typing import ClassVar
from zoneinfo import ZoneInfo

from ordinaut.clock import TICK
from ordinaut.limits import LAST_YEAR
from scheduler.triggers.localtime.changing_hours import changing_hours
from scheduler.triggers.localtime.clock_change import BY_KIND, FIRST, SHIFT, Dst, Placing
from scheduler.triggers.localtime.firings import END, LocalFirings
from scheduler.triggers.localtime.zone import local_time, resolve, zone
from scheduler.triggers.rrule.calendar_rule import CalendarRule
from scheduler.triggers.rrule.count_end import CountEnd
from scheduler.triggers.rrule.elapsed_firings import ElapsedFirings, Firings, ListedFirings
from scheduler.triggers.rrule.elapsed_rule import MAX_COUNTED, ElapsedRule
from scheduler.triggers.rrule.lines import CalendarText, ListedDate, parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, Rule, invalid_rrule
from scheduler.triggers.trigger import Firing, TimeTrigger, stamp

BY_RFC = Placing(SHIFT, FIRST)


class RRuleTrigger(TimeTrigger):
    r"""Fires at the instants of an iCalendar text that has a DTSTART.

    Args:
        text: the lines, DTSTART among them.
        where: the schedule's zone, for a DTSTART without a zone.
        dst: the schedule's setting for clock changes; rules by the hour or shorter count elapsed time.
        anchor: the instant of DTSTART, if it is known; without it, a repeated local time means its first pass.

    Raises:
        ScheduleError: INVALID_RRULE, UNKNOWN_TIMEZONE or SCHEDULE_TOO_COSTLY.

    >>> text = "DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;BYDAY=-1FR"
    >>> trigger = RRuleTrigger(text, ZoneInfo("Europe/Chisinau"))
    >>> trigger.after(datetime.fromisoformat("2026-07-01T00:00Z")).time.isoformat()
    '2026-07-31T06:00:00+00:00'
    """

    __slots__ = ("_excluded", "_excluded_days", "_placing", "_sources", "_zone", "count_end")
    kind: ClassVar[str] = "rrule"

    def __init__(self, text: str, where: ZoneInfo, dst: Dst = BY_KIND, anchor: datetime | None = None) -> None:
        parts = parse_calendar_text(text)
        self._placing = BY_RFC.under(dst)
        self._zone = zone(parts.zone_name) if parts.zone_name else where
        self.count_end: CountEnd | None = None
        self._sources: list[Firings] = [ListedFirings(self._additions(parts))]
        if parts.rule is not None:
            self._sources.insert(0, self._rule_firings(parts.rule, _start(parts), text, anchor))
        self._excluded = frozenset(firing.time for entry in parts.excluded for firing in self._listed(entry))
        self._excluded_days = frozenset(listed.at for listed in parts.excluded if not isinstance(listed.at, datetime))

    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant; at equal times that of the rule, not of an RDATE."""
        firings = [source.after(instant, self._excludes) for source in self._sources]
        return min((firing for firing in firings if firing), key=lambda firing: firing.time, default=None)

    def starts_at(self, start: datetime) -> bool:
        """Whether the local time is an instant of the trigger or excluded."""
        instant = resolve(start, self._zone).first
        if self._excludes(instant):
            return True
        firing = self.after(instant - TICK)
        return firing is not None and firing.time == instant

    def _excludes(self, instant: datetime) -> bool:
        if instant in self._excluded:
            return True
        return bool(self._excluded_days) and local_time(instant, self._zone).date() in self._excluded_days

    def _rule_firings(self, rule: Rule, start: datetime, text: str, anchor: datetime | None) -> Firings:
        until = self._until(rule)
        resolution = resolve(start, self._zone)
        first = min(resolution.first, resolution.second)
        if anchor is not None and local_time(anchor, self._zone).replace(fold=0) == start:
            first = anchor  # which may be in the second pass of a repeated time
        if rule.frequency <= Frequency.DAILY:
            calendar = CalendarRule(rule, start)
            every = LocalFirings(calendar, self._zone, self._placing)
            self.count_end = CountEnd.of(rule, text, partial(_nth, rule.hours or (start.hour,), calendar, every, first))
            return replace(every, until=until, count_end=self.count_end)
        elapsed = ElapsedRule(rule, resolution.first if resolution.skipped else first, self._zone)
        self.count_end = CountEnd.of(rule, text, elapsed.nth)
        return ElapsedFirings(elapsed, until, self.count_end)

    def _until(self, rule: Rule) -> datetime:
        """The last instant that UNTIL allows; a DATE means the end of that local day."""
        if rule.until is None or rule.until.year > LAST_YEAR:
            return END
        if not isinstance(rule.until, datetime):
            return self._instant(datetime.combine(rule.until, time(23, 59, 59)), None)
        return self._instant(rule.until, None)

    def _additions(self, parts: CalendarText) -> list[Firing]:
        """The RDATEs, and without a rule DTSTART as well."""
        listed = parts.added if parts.rule else [ListedDate(_start(parts), None), *parts.added]
        return [firing for entry in listed for firing in self._listed(entry)]

    def _listed(self, entry: ListedDate) -> list[Firing]:
        """The firings of one RDATE or EXDATE; a whole day yields nothing."""
        at = entry.at
        if not isinstance(at, datetime):
            return []
        if at.tzinfo is not None or entry.where not in (None, self._zone.key):
            instant = self._instant(at, entry.where)
            return [Firing(instant, adjusted=False, nominal=stamp(instant))]
        return list(self._placing.firings(at, resolve(at, self._zone), self._zone))

    def _instant(self, at: datetime, where: str | None) -> datetime:
        if at.tzinfo is not None:
            return at
        return resolve(at, zone(where) if where else self._zone).first


def _nth(hours: Sequence[int], calendar: CalendarRule, firings: LocalFirings, first: datetime, count: int) -> datetime:
    """The end of a COUNT: the count-th nominal time, or if that is not the count-th firing, the instant of that.

    They differ when clocks skip or repeat times of the rule. For a large count it is the nominal time, because
    computing every instant would be too costly.
    """
    nominal = calendar.nth(count)
    if count > MAX_COUNTED or changing_hours(firings.where).isdisjoint(hours):
        return nominal
    last = first - TICK
    for _ in range(count):
        firing = firings.after(last)
        if firing is None:
            return nominal
        last = firing.time
    resolution = resolve(nominal, firings.where)
    return nominal if resolution.first == resolution.second == last else last


def _start(parts: CalendarText) -> datetime:
    if parts.start is None:
        raise invalid_rrule("DTSTART is missing")
    return parts.start
