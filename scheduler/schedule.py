"""A stored schedule, compiled: its next instants, and the events it waits for.

Works on the stored JSON form of `ordinaut.v1.Schedule` (proto field names), which validation has completed: every
trigger has an id, every rrule its DTSTART, every interval a start_time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.triggers.build import build
from scheduler.triggers.event import EventTrigger
from scheduler.triggers.rrule import RRuleTrigger
from scheduler.triggers.trigger import BEGINNING, Firing, TimeTrigger, stamp
from scheduler.triggers.union import UnionTrigger
from scheduler.triggers.zone import local_time, zone

_TICK = timedelta(microseconds=1)
_UTC = "UTC"


@dataclass(frozen=True, slots=True)
class Instant:
    """One due moment of a schedule.

    `key_nominal` is `kind:nominal` and does not move with zone data: `cron:20261025T033000`, with `~2` on the second
    pass of a repeated hour; `interval:20261025T003000Z`. `nominal_local` is the local time that the rule says;
    `adjusted` tells that a clock change moved it from there.
    """

    time: datetime
    key_nominal: str
    trigger_id: str
    params: Mapping[str, Any] | None
    nominal_local: str
    adjusted: bool

    @property
    def occurrence_id(self) -> str:
        """The public id of the occurrence: its UTC time."""
        return stamp(self.time)


class EventSubscription(NamedTuple):
    """An event trigger: which topics it is for, and the expression (or an empty text) that the event must meet."""

    id: str
    topic: str
    when: str
    params: Mapping[str, Any] | None


class CompiledSchedule:
    """The triggers of a schedule, ready to answer; pure, and shared between callers."""

    __slots__ = ("_end", "_start", "_time_ids", "_time_params", "_union", "event_triggers", "zone")

    def __init__(self, schedule: Mapping[str, Any]) -> None:
        name = schedule.get("time_zone") or ""
        self.zone: ZoneInfo = zone(name or _UTC)
        self._start = _time(schedule.get("start_time"), BEGINNING + _TICK)
        self._end = _time(schedule.get("end_time"), datetime.max.replace(tzinfo=UTC))
        self.event_triggers: list[EventSubscription] = []
        timed = []
        for trigger in schedule.get("triggers", ()):
            built = build(trigger, self.zone if name else None, self._start)
            if isinstance(built, EventTrigger):
                self.event_triggers.append(_subscription(trigger))
            else:
                timed.append((trigger, built))
        self._union = UnionTrigger([built for _, built in timed])
        self._time_ids = [str(trigger["id"]) for trigger, _ in timed]
        self._time_params: list[Mapping[str, Any] | None] = [trigger.get("params") for trigger, _ in timed]

    @staticmethod
    def compile(schedule: Mapping[str, Any]) -> "CompiledSchedule":
        """The compiled form; equal schedules share one.

        Raises:
            ScheduleError: a trigger cannot be read; for a stored schedule only when zone data lost its zone.
        """
        return _compiled(json.dumps(schedule, sort_keys=True, separators=(",", ":")))

    @property
    def has_time_triggers(self) -> bool:
        """Some trigger fires by time."""
        return bool(self._union.triggers)

    def next(
        self, after: datetime | None, state: Mapping[str, Any] | None = None
    ) -> tuple[Instant | None, dict[str, Any]]:
        """The first instant strictly after `after` (None: the very first) inside [start_time, end_time).

        `state` is what an earlier call returned, or None; it makes the answer cheaper, never different.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        self._recall(state or {})
        since = max(after or BEGINNING, self._start - _TICK)
        found = self._union.first(since) if since < self._end else None
        if found is None or found[1].time >= self._end:
            return None, self._kept()
        return self._instant(*found), self._kept()

    def _instant(self, place: int, firing: Firing) -> Instant:
        trigger: TimeTrigger = self._union.triggers[place]
        return Instant(
            time=firing.time,
            key_nominal=f"{trigger.kind}:{firing.nominal}",
            trigger_id=self._time_ids[place],
            params=self._time_params[place],
            nominal_local=self._nominal_local(firing),
            adjusted=firing.adjusted,
        )

    def _nominal_local(self, firing: Firing) -> str:
        if firing.nominal.endswith("Z"):
            return local_time(firing.time, self.zone).isoformat()
        return datetime.fromisoformat(firing.nominal.removesuffix("~2")).isoformat()

    def _recall(self, state: Mapping[str, Any]) -> None:
        for trigger_id, trigger in zip(self._time_ids, self._union.triggers, strict=True):
            if isinstance(trigger, RRuleTrigger) and trigger.count_end:
                trigger.count_end.recall(state.get(trigger_id))

    def _kept(self) -> dict[str, Any]:
        """Per trigger with a COUNT: where it ends."""
        return {
            trigger_id: trigger.count_end.kept
            for trigger_id, trigger in zip(self._time_ids, self._union.triggers, strict=True)
            if isinstance(trigger, RRuleTrigger) and trigger.count_end
        }


@lru_cache(maxsize=8192)
def _compiled(text: str) -> CompiledSchedule:
    return CompiledSchedule(json.loads(text))


def _subscription(trigger: Mapping[str, Any]) -> EventSubscription:
    event = trigger["event"]
    return EventSubscription(str(trigger["id"]), event["topic"], event.get("when", ""), trigger.get("params"))


def _time(text: str | None, default: datetime) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC) if text else default
