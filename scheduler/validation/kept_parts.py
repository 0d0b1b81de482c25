"""What a schedule keeps of the one that it replaces: anchors, ids and spelling of every part that means the same."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from ordinaut.v1.schedule_pb2 import Exclusion, Schedule, Trigger
from scheduler.triggers.localtime.zone import zone, zone_names
from scheduler.triggers.once import OnceTrigger
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text, start_line, without_start
from scheduler.validation.equality import meaning, names_one_zone

Part = TypeVar("Part", Trigger, Exclusion)
GENERATED_ID = "t"


@dataclass(frozen=True, slots=True)
class KeptParts:
    """The replaced schedule, and its triggers by the index of the equal trigger in the new one.

    `own_zones` are the indexes of triggers that have got a time zone of their own, because the schedule's has changed.
    """

    before: Schedule | None
    triggers: dict[int, Trigger]
    own_zones: Sequence[int] = ()

    def warnings(self, schedule: Schedule) -> Iterator[str]:
        """Names the rules that keep the zone of the DTSTART which the caller wrote."""
        for index in self.own_zones:
            named = schedule.triggers[index].time_zone
            yield f"triggers[{index}]: its DTSTART is in {named}, the schedule in {schedule.time_zone}"

    def ends_as_before(self, schedule: Schedule) -> bool:
        """Whether the end_time was accepted before."""
        return self.before is not None and schedule.end_time == self.before.end_time

    def was_past(self, index: int, since: datetime) -> bool:
        """Whether the trigger at that index is a `once` whose time had passed before the change."""
        before = self.triggers.get(index)
        if self.before is None or before is None or before.WhichOneof("kind") != "once":
            return False
        try:
            firing = OnceTrigger(before.once, zone(before.time_zone or self.before.time_zone or "UTC")).firing
        except ScheduleError:
            return False
        return firing is not None and firing.time <= since

    @property
    def has_time_triggers(self) -> bool:
        """Whether one of the kept triggers fires by time."""
        return any(trigger.WhichOneof("kind") != "event" for trigger in self.triggers.values())


def keep(schedule: Schedule, before: Schedule | None, now: datetime) -> KeptParts:
    """Puts the equal parts of `before` into `schedule`; its own anchors are those that a client has read, and ignored.

    Without `before`, `schedule` is new, and its anchors are used: a schedule may be stored as it was read elsewhere.
    """
    if before is None:
        return KeptParts(None, {})
    if names_one_zone(schedule.time_zone, before.time_zone):
        schedule.time_zone = before.time_zone
    triggers = _pairs(schedule.triggers, before.triggers, lambda old, new: old.id == new.id)
    for index, trigger in enumerate(schedule.triggers):
        _keep_trigger(trigger, triggers.get(index), before, now)
    own_zones = [index for index in triggers if _keep_zone(schedule.triggers[index], schedule.time_zone)]
    exclusions = _pairs(schedule.exclusions, before.exclusions, lambda old, new: old == new)
    for index, exclusion in enumerate(schedule.exclusions):
        exclusion.ClearField("anchor_time")
        if index in exclusions:
            exclusion.CopyFrom(exclusions[index])
    return KeptParts(before, triggers, own_zones)


def _keep_trigger(trigger: Trigger, old: Trigger | None, before: Schedule, now: datetime) -> None:
    trigger.ClearField("anchor_time")
    if old is None:
        _drop_read_start(trigger, before)
        return
    kind = old.WhichOneof("kind")
    if kind in ("cron", "rrule", "once"):
        setattr(trigger, kind, getattr(old, kind))
    if old.HasField("anchor_time"):
        trigger.anchor_time.CopyFrom(old.anchor_time)
    elif kind == "interval" and before.HasField("start_time") and before.start_time.ToDatetime(UTC) <= now:
        trigger.anchor_time.CopyFrom(before.start_time)  # used if the schedule has no start_time any more
    if names_one_zone(trigger.time_zone, old.time_zone):
        trigger.time_zone = old.time_zone
    if not trigger.id and old.id.removeprefix(GENERATED_ID).isdigit():
        trigger.id = old.id


def _keep_zone(trigger: Trigger, schedule_zone: str) -> bool:
    """Keeps a rule in the zone of the DTSTART that the caller wrote; returns whether that is not the schedule's."""
    if trigger.time_zone or trigger.WhichOneof("kind") != "rrule" or trigger.HasField("anchor_time"):
        return False
    try:
        named = parse_calendar_text(trigger.rrule).zone_name
    except ScheduleError:  # newer zone data lack its zone; the check of the trigger reports it
        return False
    if named is None or schedule_zone not in zone_names() or names_one_zone(named, schedule_zone):
        return False
    trigger.time_zone = named
    return True


def _drop_read_start(trigger: Trigger, before: Schedule) -> None:
    """Removes a DTSTART that the server wrote for a rule which has changed; the new rule gets a new one."""
    if trigger.WhichOneof("kind") != "rrule":
        return
    starts = {start_line(old.rrule) for old in before.triggers if old.rrule and old.HasField("anchor_time")}
    if start_line(trigger.rrule) in starts - {""}:
        trigger.rrule = without_start(trigger.rrule)


def _pairs(new: Sequence[Part], old: Sequence[Part], preferred: Callable[[Part, Part], bool]) -> dict[int, Part]:
    """The parts of `old` by the index of the part of `new` that means the same; each is used once, in order."""
    pairs: dict[int, Part] = {}
    free = [(part, _meanings(part)) for part in old]
    for prefers in (preferred, lambda _old, _new: True):
        for index, part in enumerate(new):
            if index in pairs:
                continue
            written = meaning(part)
            for place, (candidate, meanings) in enumerate(free):
                if written in meanings and prefers(candidate, part):
                    pairs[index] = candidate
                    del free[place]
                    break
    return pairs


def _meanings(part: Trigger | Exclusion) -> set[object]:
    """The meaning of a stored part, and that without the DTSTART which the server wrote."""
    meanings: set[object] = {meaning(part)}
    if part.WhichOneof("kind") == "rrule" and part.HasField("anchor_time"):
        meanings.add(meaning(part, anchored=False))
    return meanings
