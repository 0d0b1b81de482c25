"""Checks one trigger of a schedule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ordinaut.expressions import ExpressionError, Kind, compile_expression
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Trigger
from scheduler.triggers.build import KINDS
from scheduler.triggers.cron.trigger import CronTrigger
from scheduler.triggers.event import EventTrigger
from scheduler.triggers.interval import check_interval
from scheduler.triggers.localtime.clock_change import Dst
from scheduler.triggers.once import OnceTrigger
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import BEGINNING, TimeTrigger
from scheduler.validation.findings import Findings

_PROBES = 3
_EXPRESSION_REASONS: Mapping[Kind, ErrorReason.ValueType] = {
    Kind.SYNTAX: ErrorReason.TEMPLATE_SYNTAX,
    Kind.VALUE: ErrorReason.TEMPLATE_SYNTAX,
    Kind.AMBIGUOUS: ErrorReason.TEMPLATE_AMBIGUOUS,
    Kind.UNRESOLVED: ErrorReason.UNRESOLVED_REFERENCE,
    Kind.MISSING: ErrorReason.UNRESOLVED_REFERENCE,
    Kind.LIMIT: ErrorReason.TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class TriggerCheck:
    """What a trigger is checked against.

    `since` is the reference of "in the past"; None when the past is no problem. `where` stands in for the zone when
    that is missing or wrong, so that everything else is still checked. `dst` is the schedule's.
    """

    found: Findings
    where: ZoneInfo
    since: datetime | None
    dst: Dst

    def __call__(self, trigger: Trigger, path: str) -> None:
        """Adds the problems of the trigger at that path; its rrule, if any, has its DTSTART."""
        kind = trigger.WhichOneof("kind")
        if kind is None:
            self.found.add(path, ErrorReason.FIELD_REQUIRED, f"a trigger is one of {', '.join(KINDS)}")
            return
        checks: Mapping[str, Callable[[Trigger, str], None]] = {
            "cron": self._cron,
            "rrule": self._rrule,
            "interval": self._interval,
            "once": self._once,
            "event": self._event,
        }
        try:
            checks[kind](trigger, f"{path}.{kind}")
        except ScheduleError as error:
            self.found.take(f"{path}.{kind}", error)

    def _cron(self, trigger: Trigger, _path: str) -> None:
        self._probe(CronTrigger(trigger.cron, self.where, self.dst))

    def _rrule(self, trigger: Trigger, _path: str) -> None:
        self._probe(RRuleTrigger(trigger.rrule, self.where, self.dst))

    def _interval(self, trigger: Trigger, _path: str) -> None:
        interval = trigger.interval
        if abs(interval.seconds) > timedelta.max.days * 86_400 or interval.nanos:
            raise ScheduleError(ErrorReason.INVALID_INTERVAL, "an interval is a whole number of seconds")
        check_interval(timedelta(seconds=interval.seconds))

    def _once(self, trigger: Trigger, _path: str) -> None:
        firing = OnceTrigger(trigger.once, self.where, self.dst).firing
        if firing is None:
            message = "clocks skip that local time, and dst.gap is SKIP"
            raise ScheduleError(ErrorReason.SCHEDULE_NEVER_FIRES, message)
        time = firing.time
        if self.since is not None and time <= self.since:
            raise ScheduleError(
                ErrorReason.ONCE_IN_PAST,
                f"{time.isoformat()} lies in the past: it is {self.since.isoformat(timespec='seconds')}",
            )

    def _event(self, trigger: Trigger, path: str) -> None:
        try:
            EventTrigger(trigger.event.topic)
        except ScheduleError as error:
            self.found.take(f"{path}.topic", error)
        try:
            if trigger.event.when:
                compile_expression(trigger.event.when)
        except ExpressionError as error:
            self.found.add_repairable(
                f"{path}.when",
                _EXPRESSION_REASONS[error.kind],
                error.message,
                target=f"{path}.when",
                value=error.repaired,
                explanation=error.explanation,
            )

    def _probe(self, trigger: TimeTrigger) -> None:
        """The first few instants must exist and be found within the step bound."""
        firing = trigger.after(BEGINNING)
        if firing is None:
            raise ScheduleError(ErrorReason.SCHEDULE_NEVER_FIRES, "no time up to the year 2200 fits this rule")
        for start in (firing.time, self.since or firing.time):
            found = trigger.after(start)
            for _ in range(_PROBES):
                found = trigger.after(found.time) if found else None
