"""What a simulation is told: a task's rules, and what happens around it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from scheduler.firing.missed_instants import CatchUpPolicy
from scheduler.schedules.schedule import CompiledSchedule


class Span(NamedTuple):
    """From `start` (inclusive) to `end` (exclusive)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """What the run policy of the task says; None where it is silent."""

    overlap: str = "SKIP"
    max_buffer: int = 0
    start_deadline: timedelta | None = None
    run_timeout: timedelta | None = None
    pause_after_failures: int | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A task, idle and ACTIVE at the beginning of the window, and what comes upon it.

    Runs take `durations` in turn, again from the first after the last; every `fail_every`-th fails (0: none). While
    an outage lasts no scheduler lives; a pause is a person's. Neither reaches beyond the window. `skipped` are
    instants that somebody took away.
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
    """The parts of the spans inside of another one, in order; those that meet are one."""
    found: list[Span] = []
    for span in sorted(spans):
        start, end = max(span.start, within.start), min(span.end, within.end)
        if start >= end:
            continue
        if found and start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, end))
        else:
            found.append(Span(start, end))
    return found
