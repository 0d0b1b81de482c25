"""Checks one trigger of a schedule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ordinaut.expressions import ExpressionError, Kind, compile_expression
from ordinaut.expressions.event_condition import Problem, when_problems
from ordinaut.expressions.semantics import FIRST
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule, Trigger
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
from scheduler.validation.translated import add_translated

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
    """Checks triggers of a schedule, and adds violations to `findings`.

    Times up to `since` are in the past; None allows any time. `zone_of` is UTC if the zone of a trigger is missing or
    invalid, so that everything else is still checked. `dst` is the schedule's setting. `stored`: the schedule was
    accepted before, so that its conditions are only parsed. `schedule` is the whole, `now` is aware.
    """

    findings: Findings
    zone_of: Callable[[Trigger], ZoneInfo]
    since: datetime | None
    dst: Dst
    schedule: Schedule
    now: datetime
    stored: bool = False

    def __call__(self, trigger: Trigger, path: str) -> None:
        """Checks the trigger at that path; an rrule has its DTSTART."""
        kind = trigger.WhichOneof("kind")
        if kind is None:
            self.findings.add(path, ErrorReason.FIELD_REQUIRED, f"a trigger must have one of {', '.join(KINDS)}")
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
            add_translated(error, trigger, f"{path}.{kind}", self.schedule, self.now, self.findings)

    def _cron(self, trigger: Trigger, _path: str) -> None:
        self._probe(CronTrigger(trigger.cron, self.zone_of(trigger), self.dst))

    def _rrule(self, trigger: Trigger, _path: str) -> None:
        self._probe(RRuleTrigger(trigger.rrule, self.zone_of(trigger), self.dst))

    def _interval(self, trigger: Trigger, _path: str) -> None:
        interval = trigger.interval
        if abs(interval.seconds) > timedelta.max.days * 86_400 or interval.nanos:
            raise ScheduleError(ErrorReason.INVALID_INTERVAL, "an interval must be a whole number of seconds")
        check_interval(timedelta(seconds=interval.seconds))

    def _once(self, trigger: Trigger, _path: str) -> None:
        firing = OnceTrigger(trigger.once, self.zone_of(trigger), self.dst).firing
        if firing is None:
            message = "clocks skip that local time, and dst.gap is SKIP"
            raise ScheduleError(ErrorReason.SCHEDULE_NEVER_FIRES, message)
        time = firing.time
        if self.since is not None and time <= self.since:
            raise ScheduleError(
                ErrorReason.ONCE_IN_PAST,
                f"{time.isoformat()} is in the past (it is {self.since.isoformat(timespec='seconds')})",
            )

    def _event(self, trigger: Trigger, path: str) -> None:
        try:
            EventTrigger(trigger.event.topic)
        except ScheduleError as error:
            self.findings.add_error(f"{path}.topic", error)
        try:
            problems = self._when_problems(trigger.event.when) if trigger.event.when else []
        except ExpressionError as error:
            self.findings.add_repairable(
                f"{path}.when",
                _EXPRESSION_REASONS[error.kind],
                error.message,
                target=f"{path}.when",
                value=error.repaired,
                explanation=error.explanation,
            )
            return
        for message, repaired in problems:
            self.findings.add_repairable(
                f"{path}.when",
                ErrorReason.UNRESOLVED_REFERENCE,
                message,
                target=f"{path}.when",
                value=repaired,
                explanation=f"Replaces it by `{repaired}`.",
            )

    def _when_problems(self, text: str) -> list[Problem]:
        if not self.stored:
            return when_problems(text)
        compile_expression(text, semantics=FIRST)
        return []

    def _probe(self, trigger: TimeTrigger) -> None:
        """Checks that the trigger has instants, and that the first few are computed within the step limit."""
        firing = trigger.after(BEGINNING)
        if firing is None:
            raise ScheduleError(ErrorReason.SCHEDULE_NEVER_FIRES, "the rule has no time up to the year 2200")
        for start in (firing.time, self.since or firing.time):
            following = trigger.after(start)
            for _ in range(_PROBES):
                following = trigger.after(following.time) if following else None
