"""The DTSTART of a rule that has none."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from ordinaut.limits import LAST_YEAR
from scheduler.triggers.localtime.clock_change import Dst
from scheduler.triggers.localtime.firings import LocalFirings
from scheduler.triggers.localtime.zone import local_time
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.calendar_rule import CalendarRule
from scheduler.triggers.rrule.elapsed_rule import ElapsedRule
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, Rule
from scheduler.triggers.rrule.trigger import BY_RFC

_MAX_REPEATED = 4_000  # more than the seconds of an hour, which is how long clocks repeat


def first_start(text: str, created: datetime, since: datetime, where: ZoneInfo, dst: Dst) -> datetime:
    """The first time of a rule after its creation, local to the zone, so that a COUNT counts only times that can fire.

    What the rule leaves open, such as the minute or the day of an interval, is that of `created`. The time is after
    both `created` and `since`. If the rule has none, or it is too costly to find, it is `created`.
    """
    opening = created.replace(microsecond=0)
    local = local_time(opening, where).replace(fold=0)
    try:
        rule = parse_calendar_text(text).rule
        first = None if rule is None else _first(rule, opening, max(created, since), where, dst)
    except ScheduleError:  # the check of the trigger reports it
        first = None
    return local if first is None or first.year >= LAST_YEAR else first


def _first(rule: Rule, opening: datetime, since: datetime, where: ZoneInfo, dst: Dst) -> datetime | None:
    endless = replace(rule, count=None, until=None)
    local = local_time(opening, where).replace(fold=0)
    if rule.frequency <= Frequency.DAILY:
        firing = LocalFirings(CalendarRule(endless, local), where, BY_RFC.under(dst)).after(since)
        return None if firing is None else datetime.fromisoformat(firing.nominal.removesuffix("~2"))
    elapsed = ElapsedRule(endless, opening, where)
    for _ in range(_MAX_REPEATED):
        time = elapsed.next(since)
        if time is None:
            return None
        first = local_time(time, where)
        if not first.fold or rule.count is None:
            return first.replace(fold=0)
        since = time  # a DTSTART means the first pass of a repeated time, which is before the creation
    return local
