"""Checks the fields of a schedule other than its triggers and its window."""

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import CatchUp, Exclusion, Schedule
from ordinaut.v1.schedule_pb2 import Dst as WrittenDst
from scheduler.triggers.localtime.clock_change import BY_KIND, Dst
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.triggers.rrule.parse import Frequency, invalid_rrule
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import BEGINNING
from scheduler.validation.findings import Findings

MAX_EXCLUSIONS = 100
MAX_EXCLUDING_RULES = 10  # each is evaluated for each day
MAX_OCCURRENCES = 1_000
MAX_CAUGHT_UP = 1_000
_MAX_WINDOW_DAYS = 3_660
_DAY_SECONDS = 86_400


def check_fields(schedule: Schedule, findings: Findings) -> None:
    """Checks catch_up, jitter, dst and max_occurrences."""
    _check_choice(findings, "catch_up.policy", schedule.catch_up.policy, CatchUp.Policy.items())
    _check_choice(findings, "dst.gap", schedule.dst.gap, WrittenDst.Gap.items())
    _check_choice(findings, "dst.overlap", schedule.dst.overlap, WrittenDst.Overlap.items())
    _check_span(findings, "catch_up.window", schedule.catch_up.window, _MAX_WINDOW_DAYS)
    _check_span(findings, "jitter", schedule.jitter, 1)
    _check_number(findings, "catch_up.max", schedule.catch_up.max, MAX_CAUGHT_UP)
    _check_number(findings, "max_occurrences", schedule.max_occurrences, MAX_OCCURRENCES)
    if schedule.catch_up.max and schedule.catch_up.policy != CatchUp.ALL:
        findings.add("catch_up.max", ErrorReason.FIELD_INVALID, "max is allowed only with the policy ALL")


def dst_of(schedule: Schedule) -> Dst:
    """The schedule's setting for clock changes; the default if its values are unknown, which `check_fields` reports."""
    gap, overlap = schedule.dst.gap, schedule.dst.overlap
    if gap not in WrittenDst.Gap.values() or overlap not in WrittenDst.Overlap.values():
        return BY_KIND
    return Dst(WrittenDst.Gap.Name(gap) if gap else "", WrittenDst.Overlap.Name(overlap) if overlap else "")


def check_exclusions(schedule: Schedule, where: ZoneInfo, findings: Findings) -> None:
    """Checks the exclusions; each of their rules has a DTSTART."""
    if len(schedule.exclusions) > MAX_EXCLUSIONS:
        message = f"at most {MAX_EXCLUSIONS} exclusions are allowed (got {len(schedule.exclusions)})"
        findings.add("exclusions", ErrorReason.TOO_LARGE, message)
        return
    rules = sum(exclusion.WhichOneof("kind") == "rrule" for exclusion in schedule.exclusions)
    if rules > MAX_EXCLUDING_RULES:
        message = f"at most {MAX_EXCLUDING_RULES} exclusions may be rules (got {rules})"
        findings.add("exclusions", ErrorReason.TOO_LARGE, message)
        return
    for index, exclusion in enumerate(schedule.exclusions):
        kind = exclusion.WhichOneof("kind")
        path = f"exclusions[{index}]"
        if kind is None:
            findings.add(path, ErrorReason.FIELD_REQUIRED, "an exclusion must have one of date, rrule")
            continue
        try:
            _check_exclusion(exclusion, kind, where)
        except ScheduleError as error:
            findings.add_error(f"{path}.{kind}", error)


def _check_exclusion(exclusion: Exclusion, kind: str, where: ZoneInfo) -> None:
    if kind == "rrule":
        rule = parse_calendar_text(exclusion.rrule).rule
        if rule and rule.frequency > Frequency.DAILY:
            raise invalid_rrule(
                f"an exclusion covers whole days: FREQ must be DAILY or longer (got {rule.frequency.name})"
            )
        RRuleTrigger(exclusion.rrule, where).after(BEGINNING)
        return
    try:
        day = date.fromisoformat(exclusion.date)
    except ValueError:
        day = date.min
    if not FIRST_YEAR <= day.year <= LAST_YEAR or day.isoformat() != exclusion.date:
        message = (
            f'expected a day such as 2026-12-25 in the years {FIRST_YEAR} to {LAST_YEAR} (got "{exclusion.date[:40]}")'
        )
        raise ScheduleError(ErrorReason.INVALID_TIME, message)


def _check_choice(findings: Findings, field: str, value: int, choices: Sequence[tuple[str, int]]) -> None:
    if value not in dict(choices).values():
        names = [name for name, number in choices if number]
        findings.add(field, ErrorReason.FIELD_INVALID, f"expected one of {', '.join(names)} (got {value})")


def _check_span(findings: Findings, field: str, span: Duration, max_days: int) -> None:
    seconds, nanos = span.seconds, span.nanos
    if not (seconds >= 0 and 0 <= nanos < 1_000_000_000 and seconds + (nanos > 0) <= max_days * _DAY_SECONDS):
        findings.add(field, ErrorReason.FIELD_INVALID, f"expected 0 to {max_days} days (got {seconds} s)")


def _check_number(findings: Findings, field: str, value: int, limit: int) -> None:
    if not 0 <= value <= limit:
        findings.add(field, ErrorReason.FIELD_INVALID, f"expected 1 to {limit}, or no value (got {value})")
