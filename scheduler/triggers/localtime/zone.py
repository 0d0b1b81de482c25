"""Time zones of the pinned `tzdata` package, and the conversion of local times to instants.

The system's zone files are never read: they differ between hosts and may be years older.
Source: RFC 5545 §3.3.5 for times that a clock change skips or repeats.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped] # a data package without stubs

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError

ZONE_DATA_VERSION: str = tzdata.IANA_VERSION
"""The IANA release that all zones here are read from, such as `2026f`."""

_SECOND = timedelta(seconds=1)
_MAX_SHOWN = 64


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of zones: those in the package's list, not every file in it."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


def zone(name: str) -> ZoneInfo:
    """The zone of that exact name.

    Raises:
        ScheduleError: UNKNOWN_TIMEZONE, with the nearest name as its repair.
    """
    if name not in zone_names():
        raise _unknown(name)
    return _load(name)


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    """The zone read from the package, bypassing PYTHONTZPATH and ZoneInfo's own cache."""
    try:
        with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
            return ZoneInfo.from_file(data, key=name)
    except (ValueError, KeyError, OSError) as error:
        raise _unknown(name) from error


def _unknown(name: str) -> ScheduleError:
    repair = nearest_zone(name) if len(name) <= _MAX_SHOWN else None
    excerpt = name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "…"
    hint = f'; did you mean "{repair}"?' if repair else "; expected an IANA name such as Europe/Chisinau"
    return ScheduleError(
        ErrorReason.UNKNOWN_TIMEZONE,
        f'"{excerpt}" is not a time zone of IANA {ZONE_DATA_VERSION}{hint}',
        repair=repair,
        explanation=f"Uses the zone {repair}, the nearest name.",
    )


@lru_cache(maxsize=256)
def nearest_zone(name: str) -> str | None:
    """The zone with the name or the city most similar to `name`; None if no zone is similar."""
    key = name.strip().casefold().replace(" ", "_")
    whole = {name.casefold(): name for name in sorted(zone_names())}
    cities = {name.rsplit("/", 1)[-1].casefold(): name for name in sorted(zone_names()) if "/" in name}
    for names in (whole, cities):
        if key in names:
            return names[key]
    for names in (whole, cities):
        if near := get_close_matches(key, names, n=1, cutoff=0.8):
            return names[near[0]]
    return None


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
