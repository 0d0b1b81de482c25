"""Time zones of the pinned `tzdata` package, and the conversion of local times to instants.

The system's zone files are never read: they differ between hosts and may be years older.
Source: RFC 5545 §3.3.5 for times that a clock change skips or repeats.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped] # a data package without stubs

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.localtime.zone_names import (
    Ambiguity,
    Correction,
    common_zones,
    iana_names,
    meaning,
    similar_name,
)
from scheduler.triggers.problem import Choice, Edit, Question, ScheduleError

ZONE_DATA_VERSION: str = tzdata.IANA_VERSION
"""The IANA release that all zones here are read from, such as `2026f`."""

_SECOND = timedelta(seconds=1)
_MAX_SHOWN = 64


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of zones: those in the package's list, not every file in it."""
    return iana_names()


def zone(name: str, now: datetime | None = None) -> ZoneInfo:
    """The zone of that exact name.

    `now` selects the zones that are offered for an offset such as `UTC+2`; without it, those that have the offset at
    some time of the year.

    Raises:
        ScheduleError: UNKNOWN_TIMEZONE, with a repair if only one zone can be meant, or a question.
    """
    if name not in zone_names():
        raise _unknown(name, now)
    return _load(name)


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    """The zone read from the package, bypassing PYTHONTZPATH and ZoneInfo's own cache."""
    try:
        with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
            return ZoneInfo.from_file(data, key=name)
    except (ValueError, KeyError, OSError) as error:
        raise _unknown(name, None) from error


def _unknown(name: str, now: datetime | None) -> ScheduleError:
    if len(name) > _MAX_SHOWN:
        return _unknown_text(f"{name[:_MAX_SHOWN]}…", "; expected an IANA name such as Europe/Chisinau")
    match meaning(name):
        case Correction(repair, explanation):
            hint = f'; did you mean "{repair}"?'
            return _unknown_text(name, hint, repair=repair, explanation=explanation)
        case Ambiguity() as ambiguity if len(choices := _choices(ambiguity, now)) > 1:
            kind = "an offset" if ambiguity.is_offset else "a name that several zones share"
            question = Question("zone", f'Which time zone does "{name}" mean?', choices)
            return _unknown_text(name, f"; it is {kind}", question=question)
    similar = similar_name(name)
    return _unknown_text(
        name, f'; did you mean "{similar}"?' if similar else "; expected a name such as Europe/Chisinau"
    )


def _unknown_text(excerpt: str, hint: str, **remedy: Any) -> ScheduleError:
    message = f'"{excerpt}" is not a time zone of IANA {ZONE_DATA_VERSION}{hint}'
    return ScheduleError(ErrorReason.UNKNOWN_TIMEZONE, message, **remedy)


def _choices(ambiguity: Ambiguity, now: datetime | None) -> list[Choice]:
    """The zones of an ambiguous text, and the zone with that fixed offset, if there is one."""
    fixed = [] if ambiguity.minutes is None else list(_fixed_offset(ambiguity.minutes))
    zones = [*ambiguity.zones]
    if ambiguity.is_offset:
        zones = [name for name in common_zones() if ambiguity.minutes in _offsets(name, now)]
    choices = [Choice(name, f"{name} ({_offset_text(name, now)})", [Edit(name)]) for name in zones]
    return fixed + choices if ambiguity.is_offset else choices + fixed


def _fixed_offset(minutes: int) -> Iterator[Choice]:
    """The zone of the offset. Source: the file etcetera of tzdata, on the sign of these names."""
    if minutes == 0:
        yield Choice("UTC", "UTC, without clock changes", [Edit("UTC")])
    elif minutes % 60 == 0 and (name := f"Etc/GMT{-minutes // 60:+}") in zone_names():
        direction = "ahead of" if minutes > 0 else "behind"
        label = f"{name} (always {abs(minutes) // 60} h {direction} UTC: the sign in Etc names is reversed)"
        yield Choice(name, label, [Edit(name)])


def _offsets(name: str, now: datetime | None) -> set[int]:
    """The offsets of the zone in minutes: at that time, else those of a winter and a summer."""
    return {zone_minutes(name, now)} if now else set(_seasons(name, None))


def _seasons(name: str, now: datetime | None) -> tuple[int, int]:
    year = now.year if now else int(ZONE_DATA_VERSION[:4])
    return zone_minutes(name, datetime(year, 1, 15, tzinfo=UTC)), zone_minutes(name, datetime(year, 7, 15, tzinfo=UTC))


def zone_minutes(name: str, at: datetime) -> int:
    """The offset of the zone at that time (aware), in minutes east of UTC."""
    return (local_time(at, _load(name)).replace(fold=0) - at.replace(tzinfo=None)) // timedelta(minutes=1)


def _offset_text(name: str, now: datetime | None) -> str:
    january, july = _seasons(name, now)
    if january == july:
        return f"UTC{offset_name(january)}"
    return f"UTC{offset_name(january)} in January, {offset_name(july)} in July"


def offset_name(minutes: int) -> str:
    """An offset as text.

    >>> offset_name(120), offset_name(-330), offset_name(0)
    ('+2', '-5:30', '+0')
    """
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


@dataclass(frozen=True, slots=True)
class Resolution:
    """The instants of one local time, in UTC; they are equal unless a clock change skips or repeats that time.

    A local time that the clock jumps over is `skipped`; `first` is computed with the offset before the jump, so it is
    after the jump, and `second` with the offset after it, so it is before the jump.
    """

    first: datetime
    second: datetime
    skipped: bool

    @property
    def repeated(self) -> bool:
        """The local time happens twice."""
        return not self.skipped and self.first != self.second


def resolve(local: datetime, where: ZoneInfo) -> Resolution:
    """The instants at which clocks in the zone show the naive local time."""
    before = offset(local, where)
    after = offset(local.replace(fold=1), where)
    first = (local - before).replace(tzinfo=UTC)
    if before == after:
        return Resolution(first, first, skipped=False)
    return Resolution(first, (local - after).replace(tzinfo=UTC), skipped=before < after)


def offset(local: datetime, where: ZoneInfo) -> timedelta:
    """The zone's offset from UTC at the local time and its fold; inside a gap, fold 0 is the one before."""
    difference = where.utcoffset(local)
    assert difference is not None  # noqa: S101 - ZoneInfo returns None only for None
    return difference


def local_time(instant: datetime, where: ZoneInfo) -> datetime:
    """The local time of the instant: naive, with `fold` 1 on the second pass of a repeated time."""
    return instant.astimezone(where).replace(tzinfo=None)


def jump(gap: Resolution, where: ZoneInfo) -> datetime:
    """The instant of the clock change that skips the local time of this resolution."""
    low, high = gap.second, gap.first  # before the change; at or after it
    offset_before = local_time(low, where) - low.replace(tzinfo=None)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if local_time(middle, where) - middle.replace(tzinfo=None) == offset_before:
            low = middle
        else:
            high = middle
    return high


def same_zone(first: str, second: str) -> bool:
    """Whether both names mean the same zone, as `Asia/Calcutta` and `Asia/Kolkata` do.

    Raises:
        ScheduleError: UNKNOWN_TIMEZONE.
    """
    return first == second or rules_of(zone(first).key) == rules_of(zone(second).key)


@lru_cache(maxsize=64)
def rules_of(name: str) -> bytes:
    """The zone's data, which all names of one zone share; `name` is one of `zone_names`."""
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
