"""A stored schedule, compiled: its next instants, and its event triggers.

Works on the stored JSON form of `ordinaut.v1.Schedule` (proto field names), which validation has completed: every
trigger has an id, every rrule its DTSTART, every interval an anchor_time or the schedule a start_time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration

from ordinaut.clock import TICK
from scheduler.schedules.exclusions import Exclusions
from scheduler.schedules.union import UnionTrigger
from scheduler.triggers.build import build
from scheduler.triggers.event import EventTrigger
from scheduler.triggers.localtime.clock_change import Dst
from scheduler.triggers.localtime.firings import END
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION, local_time, zone
from scheduler.triggers.problem import ScheduleError, too_costly
from scheduler.triggers.rrule.count_end import CountEnd
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import BEGINNING, Firing, TimeTrigger, stamp

_UTC = "UTC"
_LIMIT = "max_occurrences"  # cannot be the id of a trigger, which contains no underscore
_MAX_EXCLUDED_DAYS = 400
_MAX_CACHED = 4


@dataclass(frozen=True, slots=True)
class Instant:
    """One due time of a schedule.

    `key_nominal` is `kind:nominal` and does not change with zone data: `cron:20261025T033000`, with `~2` on the second
    pass of a repeated hour; `interval:20261025T003000Z`; with the zone if it is not that of the schedule:
    `cron@Asia/Tokyo:20261025T033000`. `where` is the zone of its trigger. `adjusted`: a clock change moved the instant
    from its nominal time. An `excluded` instant is recorded and does not run.
    """

    time: datetime
    key_nominal: str
    trigger_id: str
    params: Mapping[str, Any] | None
    where: ZoneInfo
    adjusted: bool
    excluded: bool = False

    @property
    def kind(self) -> str:
        """The kind of its trigger, such as `cron`."""
        return self.key_nominal.partition(":")[0].partition("@")[0]

    @property
    def nominal_local(self) -> str:
        """The local time of the rule in ISO 8601."""
        nominal = self.key_nominal.partition(":")[2]
        if nominal.endswith("Z"):
            return local_time(self.time, self.where).isoformat()
        return datetime.fromisoformat(nominal.removesuffix("~2")).isoformat()

    @property
    def occurrence_id(self) -> str:
        """The public id of the occurrence: its UTC time."""
        return stamp(self.time)


class EventSubscription(NamedTuple):
    """An event trigger: its topic pattern, and the condition (or an empty text) that the event must meet."""

    id: str
    topic: str
    when: str
    params: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _TimedTrigger:
    """What an instant takes from its trigger."""

    id: str
    params: Mapping[str, Any] | None
    where: ZoneInfo
    key_prefix: str


class CompiledSchedule:
    """The parsed triggers of a schedule; pure, and shared between callers."""

    __slots__ = (
        "_cached", "_counted", "_counted_from", "_end", "_exclusions", "_has_other_zones", "_limit", "_start",
        "_timed_triggers", "_union", "event_triggers", "jitter", "zone", "zone_data",
    )  # fmt: skip

    def __init__(self, schedule: Mapping[str, Any]) -> None:
        name = schedule.get("time_zone") or ""
        self.zone: ZoneInfo = zone(name or _UTC)
        self.zone_data = ZONE_DATA_VERSION if _names_a_zone(schedule) else None
        self._start = _time(schedule.get("start_time"), BEGINNING + TICK)
        self._end = _time(schedule.get("end_time"), datetime.max.replace(tzinfo=UTC))
        self.jitter = span(schedule.get("jitter")) or timedelta()
        self._exclusions = Exclusions(schedule.get("exclusions", ()), self.zone)
        self.event_triggers: list[EventSubscription] = []
        timed = []
        for trigger in schedule.get("triggers", ()):
            built = build(trigger, self.zone if name else None, self._start, Dst.of(schedule))
            if isinstance(built, EventTrigger):
                self.event_triggers.append(_subscription(trigger))
            else:
                timed.append((self._timed(trigger, built), built))
        self._union = UnionTrigger([built for _, built in timed])
        self._timed_triggers = [trigger for trigger, _ in timed]
        self._has_other_zones = any(trigger.where.key != self.zone.key for trigger in self._timed_triggers)
        limit = int(schedule.get("max_occurrences", 0))
        self._counted_from = _time(schedule.get("counted_from"), self._start)
        count = max(0, limit - int(schedule.get("counted_before", 0)))
        self._limit = CountEnd(count, json.dumps(schedule, sort_keys=True), self._nth) if limit else None
        self._counted = tuple(self._count_ends())
        self._cached: dict[datetime, Instant | None] = {}

    @staticmethod
    def compile(schedule: Mapping[str, Any]) -> "CompiledSchedule":
        """The compiled form; equal schedules share one.

        Raises:
            ScheduleError: a trigger cannot be parsed.
        """
        return CompiledSchedule.read(json.dumps(schedule, sort_keys=True, separators=(",", ":")))

    @staticmethod
    def read(text: str) -> "CompiledSchedule":
        """The same from the text of a stored schedule; equal texts share one.

        Raises:
            ScheduleError: a trigger cannot be parsed; a stored one only if newer zone data lacks its zone.
        """
        return _compiled(text)

    def _timed(self, trigger: Mapping[str, Any], built: TimeTrigger) -> _TimedTrigger:
        where = zone(trigger["time_zone"]) if trigger.get("time_zone") else self.zone
        prefix = built.kind if where.key == self.zone.key else f"{built.kind}@{where.key}"
        return _TimedTrigger(str(trigger["id"]), trigger.get("params"), where, prefix)

    @property
    def zones(self) -> list[ZoneInfo]:
        """The schedule's zone, and those of its triggers."""
        return list(
            {where.key: where for where in (self.zone, *(each.where for each in self._timed_triggers))}.values()
        )

    @property
    def has_time_triggers(self) -> bool:
        """Whether at least one trigger fires by time."""
        return bool(self._union.triggers)

    def next(
        self, after: datetime | None, state: Mapping[str, Any] | None = None
    ) -> tuple[Instant | None, dict[str, Any]]:
        """The first instant strictly after `after` (None: the first of all), including excluded ones.

        It is in [start_time, end_time), with fewer than max_occurrences before it. `state` is from an earlier call or
        None; it makes the search cheaper and does not change the result.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        self._restore(state or {})
        return self._limited(self._first(after)), self._state()

    def next_open(
        self, after: datetime | None, state: Mapping[str, Any] | None = None
    ) -> tuple[Instant | None, dict[str, Any]]:
        """As `next`, without excluded instants.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, also when too many days in a row are excluded.
        """
        self._restore(state or {})
        return self._limited(self._first_open(after)), self._state()

    def _first(self, after: datetime | None) -> Instant | None:
        """Cached: planning searches an instant and the one after it, and soon afterwards both again."""
        since = max(after or BEGINNING, self._start - TICK)
        try:
            return self._cached[since]
        except KeyError:
            instant = self._search(since)
        if len(self._cached) >= _MAX_CACHED:
            self._cached.clear()
        self._cached[since] = instant
        return instant

    def _search(self, since: datetime) -> Instant | None:
        if since >= self._end:
            return None
        first = self._first_of_zones(since) if self._has_other_zones else self._union.first(since)
        return None if first is None or first[1].time >= self._end else self._instant(*first)

    def _first_of_zones(self, since: datetime) -> tuple[int, Firing] | None:
        """As the union's, but at one instant a firing goes first that is not excluded in the zone of its trigger."""
        firings = self._union.firings(since)
        return min(firings, key=lambda entry: (entry[1].time, self._excludes(*entry), entry[0]), default=None)

    def _excludes(self, place: int, firing: Firing) -> bool:
        return self._exclusions.excludes(firing.time, self._timed_triggers[place].where)

    def _first_open(self, after: datetime | None) -> Instant | None:
        """Exclusions remove whole days: after each one the search continues."""
        if self._has_other_zones:
            return self._first_open_of_zones(max(after or BEGINNING, self._start - TICK))
        for _ in range(_MAX_EXCLUDED_DAYS):
            instant = self._first(after)
            if instant is None or not instant.excluded:
                return instant
            after = self._exclusions.end_of_day(instant.time, self.zone)
        raise _too_many_excluded()

    def _first_open_of_zones(self, since: datetime) -> Instant | None:
        """The first of what each trigger has: the days of its zone end at other instants than those of others."""
        heads = [(place, self._open_firing(place, since)) for place in range(len(self._timed_triggers))]
        firings = [(firing.time, place, firing) for place, firing in heads if firing is not None]
        if not firings:
            return None
        _, place, firing = min(firings, key=lambda entry: entry[:2])
        return self._instant(place, firing)

    def _open_firing(self, place: int, since: datetime) -> Firing | None:
        trigger, where = self._union.triggers[place], self._timed_triggers[place].where
        for _ in range(_MAX_EXCLUDED_DAYS):
            firing: Firing | None = trigger.after(since)
            if firing is None or firing.time >= self._end:
                return None
            if not self._excludes(place, firing):
                return firing
            since = self._exclusions.end_of_day(firing.time, where)
        raise _too_many_excluded()

    def _limited(self, instant: Instant | None) -> Instant | None:
        return None if instant and self._limit and instant.time > self._limit.last else instant

    def _nth(self, count: int) -> datetime:
        """The instant of the count-th occurrence from `counted_from` on that is not excluded, or END."""
        last = self._counted_from - TICK
        for _ in range(count):
            instant = self._first_open(last)
            if instant is None:
                return END
            last = instant.time
        return last

    def _instant(self, place: int, firing: Firing) -> Instant:
        trigger = self._timed_triggers[place]
        return Instant(
            time=firing.time,
            key_nominal=f"{trigger.key_prefix}:{firing.nominal}",
            trigger_id=trigger.id,
            params=trigger.params,
            where=trigger.where,
            adjusted=firing.adjusted,
            excluded=self._excludes(place, firing),
        )

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, end in self._counted:
            end.restore(state.get(name))

    def _state(self) -> dict[str, Any]:
        """The ends of each COUNT and of max_occurrences, in their stored form."""
        return {name: end.stored_form for name, end in self._counted}

    def _count_ends(self) -> Iterator[tuple[str, CountEnd]]:
        for timed, trigger in zip(self._timed_triggers, self._union.triggers, strict=True):
            if isinstance(trigger, RRuleTrigger) and trigger.count_end:
                yield timed.id, trigger.count_end
        if self._limit:
            yield _LIMIT, self._limit


@lru_cache(maxsize=16_384)  # some 3 KB each
def _compiled(text: str) -> CompiledSchedule:
    return CompiledSchedule(json.loads(text))


def span(text: str | None) -> timedelta | None:
    """Parses a duration in its JSON form, such as `90s`; None for None and an empty text."""
    if not text:
        return None
    duration = Duration()
    duration.FromJsonString(text)
    return duration.ToTimedelta()


def _too_many_excluded() -> ScheduleError:
    return too_costly(f"the exclusions cover more than {_MAX_EXCLUDED_DAYS} days in a row")


def _names_a_zone(schedule: Mapping[str, Any]) -> bool:
    """Whether the instants of the schedule depend on zone data."""
    names = {schedule.get("time_zone"), *(trigger.get("time_zone") for trigger in schedule.get("triggers", ()))}
    if names - {None, "", _UTC}:
        return True
    return any(
        "TZID" in part.get("rrule", "") for name in ("triggers", "exclusions") for part in schedule.get(name, ())
    )


def _subscription(trigger: Mapping[str, Any]) -> EventSubscription:
    event = trigger["event"]
    return EventSubscription(str(trigger["id"]), event["topic"], event.get("when", ""), trigger.get("params"))


def _time(text: str | None, default: datetime) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC) if text else default
