"""The DTSTART of a rule without one."""

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


def first_start(text: str, created: datetime, since: datetime, where: ZoneInfo, dst: Dst) -> tuple[datetime, datetime]:
    """The first time of a rule after its creation, local to the zone and as an instant.

    With it as DTSTART, a COUNT counts only times that can fire. What the rule leaves open, such as the minute or the
    first day of an interval, is that of `created`. The time is after both `created` and `since`. If the rule has none,
    or it is too costly to find, it is `created`.
    """
    opening = created.replace(microsecond=0)
    try:
        rule = parse_calendar_text(text).rule
        first = None if rule is None else _first(rule, opening, max(created, since), where, dst)
    except ScheduleError:  # the check of the trigger reports it
        first = None
    if first is None or first[0].year >= LAST_YEAR:
        return local_time(opening, where).replace(fold=0), opening
    return first


def _first(
    rule: Rule, opening: datetime, since: datetime, where: ZoneInfo, dst: Dst
) -> tuple[datetime, datetime] | None:
    endless = replace(rule, count=None, until=None)
    if rule.frequency > Frequency.DAILY:
        time = ElapsedRule(endless, opening, where).next(since)
        return None if time is None else (local_time(time, where).replace(fold=0), time)
    rule_times = CalendarRule(endless, local_time(opening, where).replace(fold=0))
    firing = LocalFirings(rule_times, where, BY_RFC.under(dst)).after(since)
    if firing is None:
        return None
    return datetime.fromisoformat(firing.nominal.removesuffix("~2")), firing.time
