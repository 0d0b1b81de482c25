"""The next times of a trigger."""

from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.dialects.translation import TimeText
from scheduler.triggers.build import build
from scheduler.triggers.localtime.zone import local_time
from scheduler.triggers.localtime.zone import zone as zone_of
from scheduler.triggers.rrule.lines import parse_calendar_text, with_start
from scheduler.triggers.trigger import TimeTrigger

SHOWN = 3


def next_times(
    trigger: TimeText, now: datetime, where: ZoneInfo | None, number: int = SHOWN, after: datetime | None = None
) -> list[datetime]:
    """The next times after `after` (default: `now`) of a trigger that is created now, local to `where` or in UTC.

    Raises:
        ScheduleError: the trigger is not valid.
    """
    shown_in = where or zone_of("UTC")
    built = _built(trigger, now, shown_in)
    times: list[datetime] = []
    after = after or now
    while len(times) < number and (firing := built.after(after)):
        after = firing.time
        times.append(after.astimezone(shown_in))
    return times


def started(trigger: TimeText, now: datetime, where: ZoneInfo) -> str:
    """The value of the trigger; a rule without DTSTART gets the one that it has if it is created now."""
    if trigger.kind != "rrule" or parse_calendar_text(trigger.value).start is not None:
        return trigger.value
    return with_start(trigger.value, local_time(now.replace(microsecond=0), where).replace(fold=0), where)


def _built(trigger: TimeText, now: datetime, where: ZoneInfo) -> TimeTrigger:
    return build({trigger.kind: started(trigger, now, where)}, where, now)
