"""The input of a simulation: the rules of a task, and the outages and pauses during the window."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule


class Span(NamedTuple):
    """From `start` (inclusive) to `end` (exclusive)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """The run policy of the task; None where it sets nothing."""

    overlap: str = "SKIP"
    max_buffer: int = 0
    start_deadline: timedelta | None = None
    run_timeout: timedelta | None = None
    pause_after_failures: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A task that is idle and ACTIVE at the beginning of the window.

    Runs take `durations` in turn, again from the first after the last; every `fail_every`-th fails (0: none). During an
    outage no scheduler runs; a pause is one by a user. Both are cut at the window. `skipped` are instants that were
    skipped ahead.
    """

    schedule: CompiledSchedule
    task: UUID
    window: Span
    catch_up: CatchUpPolicy
    rules: Rules
    durations: Sequence[timedelta]
    fail_every: int = 0
    outages: Sequence[Span] = ()
    pauses: Sequence[Span] = ()
    skipped: frozenset[datetime] = field(default=frozenset())


def joined(spans: Iterable[Span], within: Span) -> list[Span]:
    """The parts of the spans inside another one, in order; those that touch are joined."""
    result: list[Span] = []
    for span in sorted(spans):
        start, end = max(span.start, within.start), min(span.end, within.end)
        if start >= end:
            continue
        if result and start <= result[-1].end:
            result[-1] = Span(result[-1].start, max(result[-1].end, end))
        else:
            result.append(Span(start, end))
    return result
