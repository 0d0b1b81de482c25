"""A single instant, given with an offset or in the schedule's local time."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.interval import whole_second
from scheduler.triggers.localtime.clock_change import BY_KIND, FIRST, SHIFT, Dst, Placing
from scheduler.triggers.localtime.zone import resolve
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.trigger import Firing, TimeTrigger, stamp

_FORM = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-5][0-9])?",
    re.ASCII,
)
_END_OF_DAY = re.compile(r"([0-9-]{10})[Tt ]24:00(?::00(?:[.]0+)?)?([Zz]?|[+-].*)", re.ASCII)


def parse_once(text: str) -> datetime:
    """The time: aware if it has an offset, else naive; rounded up to whole seconds.

    Raises:
        ScheduleError: INVALID_TIME.
    """
    if len(text) > 64 or not _FORM.fullmatch(text):
        raise _invalid(text, "expected RFC 3339 such as 2026-07-01T12:00:00+02:00, or local 2026-07-01T12:00:00")
    try:
        time = whole_second(datetime.fromisoformat(text.upper()))
        in_utc = time.astimezone(UTC) if time.tzinfo else time
    except (ValueError, OverflowError) as error:
        raise _invalid(text, str(error), _next_day(text)) from error
    if not FIRST_YEAR <= in_utc.year <= LAST_YEAR:
        raise _invalid(text, f"expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return time


def _next_day(text: str) -> str | None:
    """The time with 00:00 of the next day in place of 24:00, the end of a day in ISO 8601."""
    match = _END_OF_DAY.fullmatch(text)
    try:
        return f"{date.fromisoformat(match[1]) + timedelta(days=1)}T00:00:00{match[2]}" if match else None
    except (ValueError, OverflowError):
        return None


def _invalid(text: str, reason: str, repair: str | None = None) -> ScheduleError:
    return ScheduleError(
        ErrorReason.INVALID_TIME,
        f'"{text[:64]}" is not a time: {reason}',
        repair=repair,
        explanation="Writes the end of the day as 00:00 of the next day.",
    )


class OnceTrigger(TimeTrigger):
    """Fires once. By default a local time in a gap is taken with the offset before the gap.

    A repeated local time fires at its first pass, or at its last if `dst` is LAST.

    Args:
        text: RFC 3339 with offset, or local time.
        where: the zone of a local time; None refuses local times.
        dst: the schedule's setting for clock changes.

    Raises:
        ScheduleError: INVALID_TIME or TIMEZONE_REQUIRED.
    """

    __slots__ = ("firing",)
    kind: ClassVar[str] = "once"

    def __init__(self, text: str, where: ZoneInfo | None, dst: Dst = BY_KIND) -> None:
        time = parse_once(text)
        if time.tzinfo is not None:
            self.firing: Firing | None = Firing(time.astimezone(UTC), adjusted=False, nominal=stamp(time))
        elif where is None:
            raise ScheduleError(ErrorReason.TIMEZONE_REQUIRED, "a local time needs the schedule's time_zone")
        else:
            placing = Placing(SHIFT, FIRST).under(dst)
            self.firing = next(placing.firings(time, resolve(time, where), where), None)

    def after(self, instant: datetime) -> Firing | None:
        """The firing if it is after the instant; None also if its local time is in a gap and `dst` is SKIP."""
        return self.firing if self.firing and self.firing.time > instant else None
