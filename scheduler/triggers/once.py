"""One instant, written with an offset or in the schedule's local time."""

import re
from datetime import UTC, datetime
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
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)


def parse_once(text: str) -> datetime:
    """The time as written: aware if it has an offset, else naive; rounded up to whole seconds.

    Raises:
        ScheduleError: INVALID_TIME.
    """
    if len(text) > 64 or not _FORM.fullmatch(text):
        raise _invalid(text, "expected RFC 3339 such as 2026-07-01T12:00:00+02:00, or local 2026-07-01T12:00:00")
    try:
        moment = whole_second(datetime.fromisoformat(text.upper()))
        in_utc = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError) as error:
        raise _invalid(text, str(error)) from error
    if not FIRST_YEAR <= in_utc.year <= LAST_YEAR:
        raise _invalid(text, f"expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def _invalid(text: str, why: str) -> ScheduleError:
    return ScheduleError(ErrorReason.INVALID_TIME, f'"{text[:64]}" is not a time: {why}')


class OnceTrigger(TimeTrigger):
    """Fires once; unless `dst` says otherwise, a local time in a gap is taken with the offset before it.

    A repeated local time is one moment all the same: its first pass, or its last if `dst` says so.

    Args:
        text: RFC 3339 with offset, or local time.
        where: the zone of a local time; None refuses local times.
        dst: what the schedule says about clock changes.

    Raises:
        ScheduleError: INVALID_TIME or TIMEZONE_REQUIRED.
    """

    __slots__ = ("firing",)
    kind: ClassVar[str] = "once"

    def __init__(self, text: str, where: ZoneInfo | None, dst: Dst = BY_KIND) -> None:
        moment = parse_once(text)
        if moment.tzinfo is not None:
            self.firing: Firing | None = Firing(moment.astimezone(UTC), adjusted=False, nominal=stamp(moment))
        elif where is None:
            raise ScheduleError(ErrorReason.TIMEZONE_REQUIRED, "a local time needs the schedule's time_zone")
        else:
            placing = Placing(SHIFT, FIRST).under(dst)
            self.firing = next(placing.firings(moment, resolve(moment, where), where), None)

    def after(self, instant: datetime) -> Firing | None:
        """The firing, if it lies after the instant; None if a gap holds it and is to be skipped."""
        return self.firing if self.firing and self.firing.time > instant else None
