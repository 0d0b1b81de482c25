"""Whether two triggers, exclusions or zones mean the same, in any spelling."""

from collections.abc import Callable, Hashable, Mapping

from ordinaut.v1.schedule_pb2 import Exclusion, Trigger
from scheduler.triggers.cron.parse import parse_cron
from scheduler.triggers.localtime.zone import rules_of, same_zone, zone_names
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import ListedDate, parse_calendar_text


def meaning(part: Trigger | Exclusion, *, anchored: bool = True) -> Hashable:
    """What a trigger or an exclusion says about time; equal values mean the same.

    `anchored`: the DTSTART of an rrule belongs to it.

    >>> meaning(Trigger(cron="@daily")) == meaning(Trigger(cron="0 0 * * *"))
    True
    >>> meaning(Trigger(rrule="INTERVAL=1;FREQ=DAILY")) == meaning(Trigger(rrule="RRULE:FREQ=daily"))
    True
    """
    kind = part.WhichOneof("kind")
    try:
        return kind, _value(part, kind, anchored=anchored)
    except ScheduleError:  # the check of the trigger reports it
        return kind, getattr(part, kind or "")


def names_one_zone(first: str, second: str) -> bool:
    """Whether both are names of one zone; False if one of them is not a zone."""
    return {first, second} <= zone_names() and same_zone(first, second)


def _value(part: Trigger | Exclusion, kind: str | None, *, anchored: bool) -> Hashable:
    if kind == "rrule":
        return _rule(part.rrule, anchored=anchored)
    if isinstance(part, Exclusion):
        return part.date
    values: Mapping[str | None, Callable[[], Hashable]] = {
        "cron": lambda: parse_cron(part.cron),
        "interval": lambda: (part.interval.seconds, part.interval.nanos),
        "once": lambda: parse_once(part.once),
        "event": lambda: (part.event.topic, part.event.when),
        None: lambda: None,
    }
    return values[kind]()


def _rule(text: str, *, anchored: bool) -> Hashable:
    parts = parse_calendar_text(text)
    start = (parts.start, _zone(parts.zone_name)) if anchored else (None, None)
    return parts.rule, start, frozenset(map(_listed, parts.added)), frozenset(map(_listed, parts.excluded))


def _listed(entry: ListedDate) -> Hashable:
    return entry.at, _zone(entry.where)


def _zone(name: str | None) -> bytes | None:
    return rules_of(name) if name else None
