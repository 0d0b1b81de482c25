"""Builds a trigger from the JSON form of `ordinaut.v1.Trigger`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.cron.trigger import CronTrigger
from scheduler.triggers.event import EventTrigger
from scheduler.triggers.interval import IntervalTrigger
from scheduler.triggers.localtime.clock_change import BY_KIND, Dst
from scheduler.triggers.localtime.zone import zone
from scheduler.triggers.once import OnceTrigger
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import TimeTrigger

Default = TypeVar("Default", datetime, None)
KINDS = ("cron", "rrule", "interval", "once", "event")


def build(trigger: Mapping[str, Any], where: ZoneInfo | None, anchor: datetime, dst: Dst = BY_KIND) -> TimeTrigger:
    """The trigger of the first kind that is set, in its own zone or else in `where`.

    An interval without anchor_time counts from `anchor`.
    `dst` applies to local times: cron, rules by the day or longer, a local `once`.

    Raises:
        ScheduleError: it cannot be parsed, or it needs a zone and `where` is None.
    """
    kind = next((kind for kind in KINDS if kind in trigger), None)
    value: Any = trigger[kind] if kind else None
    where = zone(trigger["time_zone"]) if trigger.get("time_zone") else where
    match kind:
        case "cron":
            return CronTrigger(value, _required(where), dst)
        case "rrule":
            return RRuleTrigger(value, _required(where), dst, _time(trigger.get("anchor_time"), None))
        case "interval":
            return IntervalTrigger(_span(value), _time(trigger.get("anchor_time"), anchor))
        case "once":
            return OnceTrigger(value, where, dst)
        case "event":
            return EventTrigger(value.get("topic", ""))
    raise ScheduleError(ErrorReason.FIELD_REQUIRED, f"a trigger must have one of {', '.join(KINDS)}")


def _required(where: ZoneInfo | None) -> ZoneInfo:
    if where is None:
        raise ScheduleError(ErrorReason.TIMEZONE_REQUIRED, "local times need a time_zone, such as Europe/Chisinau")
    return where


def _time(text: str | None, default: Default) -> datetime | Default:
    return datetime.fromisoformat(text).astimezone(UTC) if text else default


def _span(text: str) -> timedelta:
    span = Duration()
    span.FromJsonString(text)
    return span.ToTimedelta()
