"""Outcomes of instants that passed while nothing could fire them: an outage, a pause, or a change of the task.

Each search takes at most a thousand instants, so that a transaction stays short however long the outage was. The result
is marked if it is incomplete; then the next transaction continues after its `last_instant`.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from scheduler.firing.catch_up_policy import NONE, ON_TIME, CatchUpPolicy
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

INSTANTS_PER_TRANSACTION = 1000

StartOf = Callable[[Instant], datetime]
HasPassed = Callable[[Instant], bool]
Step = Callable[..., tuple[Instant | None, dict[str, Any]]]


@dataclass(slots=True)
class MissedInstants:
    """Instants that will not run, in order, grouped with neighbours of the same outcome and reason.

    `to_run` is the instant after them that is to run now. Not `complete`: the search stopped at the limit of one
    transaction. `state` is for the next search of the schedule.
    """

    last_instant: datetime
    state: dict[str, Any] = field(default_factory=dict)
    groups: list[tuple[str, str, list[Instant]]] = field(default_factory=list)
    to_run: Instant | None = None
    complete: bool = True

    @property
    def count(self) -> int:
        """The number of instants that will not run."""
        return sum(len(instants) for _, _, instants in self.groups)

    @property
    def is_full(self) -> bool:
        """Whether one transaction should take no more."""
        return self.count >= INSTANTS_PER_TRANSACTION

    def add(self, outcome: str, reason: str, instant: Instant) -> None:
        """Appends one instant; on an excluded day its outcome is EXCLUDED instead."""
        if instant.excluded:
            outcome, reason = "EXCLUDED", "its day is excluded"
        if not self.groups or self.groups[-1][:2] != (outcome, reason):
            self.groups.append((outcome, reason, []))
        self.groups[-1][2].append(instant)
        self.last_instant = instant.time


def reusable_state(text: str | None, zone_data: str | None) -> dict[str, Any] | None:
    """The stored trigger state; None when other zone data computed it, because a COUNT may then end elsewhere."""
    if not text or text == "{}" or zone_data not in (None, ZONE_DATA_VERSION):
        return None
    state: dict[str, Any] = json.loads(text)
    return state


class UnskippedInstants:
    """The instants of a schedule except those that have a ledger row already, because a caller skipped them."""

    def __init__(self, schedule: CompiledSchedule, skipped: Iterable[datetime]) -> None:
        self.schedule = schedule
        self._skipped = frozenset(skipped)

    def next(self, after: datetime, state: Mapping[str, Any] | None = None) -> tuple[Instant | None, dict[str, Any]]:
        """As `CompiledSchedule.next`."""
        return self._step(self.schedule.next, after, state)

    def next_open(
        self, after: datetime, state: Mapping[str, Any] | None = None
    ) -> tuple[Instant | None, dict[str, Any]]:
        """As `CompiledSchedule.next_open`."""
        return self._step(self.schedule.next_open, after, state)

    def _step(self, step: Step, after: datetime, state: Any) -> tuple[Instant | None, dict[str, Any]]:
        instant, state = step(after, state)
        while instant is not None and instant.time in self._skipped:
            instant, state = step(instant.time, state)
        return instant, state


def start_with_jitter(schedule: CompiledSchedule, task: UUID) -> StartOf:
    """When an instant should start, with its jitter."""
    return lambda instant: fire_time(schedule, task, instant)


def find_missed(
    instants: UnskippedInstants,
    policy: CatchUpPolicy,
    after: datetime,
    state: Mapping[str, Any] | None,
    *,
    now: datetime,
    start_of: StartOf,
    until: datetime | None = None,
) -> MissedInstants:
    """The oldest missed instants with their outcomes, up to the first that is to run.

    Which ones run depends on the newest: LATEST keeps one, ALL the newest `keep`. So the search first looks ahead for
    where the kept ones begin. If there are more instants than one transaction may look at, those that could still be
    among the newest are left for the next transaction, and only the certain ones are settled. With NONE, those that are
    at most five seconds late are not missed, so the first of them runs.

    Args:
        instants: those of the schedule.
        policy: the catch-up policy.
        after: every instant up to here is settled.
        state: what the last search of the schedule returned.
        now: the database's time.
        start_of: when an instant should have started.
        until: instants that start after this time have not passed; default now.
    """
    end = until or now
    first_kept, all_open_seen = _first_kept(instants, policy, after, lambda instant: start_of(instant) <= end)
    missed = MissedInstants(after)
    instant, missed.state = instants.next(after, state)
    while instant is not None and (start := start_of(instant)) <= end:
        lateness = now - start
        if missed.is_full:
            missed.complete = False
            break
        if policy.name == NONE and lateness <= ON_TIME and not instant.excluded:
            missed.to_run = instant
            break
        if first_kept is None or instant.time < first_kept or instant.excluded:
            missed.add(*policy.not_kept, instant)
        elif not all_open_seen:
            missed.complete = False
            break
        elif policy.is_too_late(instant, lateness):
            missed.add("MISSED", "too late to be caught up", instant)
        else:
            missed.to_run = instant
            break
        instant, missed.state = instants.next(instant.time, missed.state)
    return missed


def find_paused(
    instants: UnskippedInstants,
    after: datetime,
    state: Mapping[str, Any] | None,
    until: datetime,
    *,
    run_newest: bool = False,
) -> MissedInstants:
    """The instants of a pause in (after, until], up to the limit of one transaction.

    `run_newest`: the newest one that is not excluded becomes `to_run`, and the instants after it are not settled yet.
    """
    missed = MissedInstants(after)
    unrecorded: list[Instant] = []  # the newest open instant so far, and the excluded ones after it
    instant, missed.state = instants.next(after, state)
    while instant is not None and instant.time <= until:
        if missed.is_full:
            missed.complete = False
            return missed
        if run_newest and not instant.excluded:
            _record_paused(missed, unrecorded)
            unrecorded = []
        unrecorded.append(instant)
        if not run_newest or unrecorded[0].excluded:
            _record_paused(missed, unrecorded)
            unrecorded = []
        instant, missed.state = instants.next(instant.time, missed.state)
    missed.to_run = unrecorded[0] if unrecorded else None
    return missed


def _record_paused(missed: MissedInstants, instants: Iterable[Instant]) -> None:
    for instant in instants:
        missed.add("PAUSED", "the task was paused", instant)


def find_unsettled(
    instants: UnskippedInstants,
    policy: CatchUpPolicy,
    after: datetime,
    until: datetime,
    *,
    now: datetime,
    paused: bool,
    obstacle: str | None,
) -> MissedInstants:
    """As `find_missed`, for the instants of an unsettled range (after, until].

    Args:
        instants: those of the schedule.
        policy: the catch-up policy.
        after: every instant up to here is settled.
        until: the end of the range.
        now: the database's time.
        paused: the task was paused in that range.
        obstacle: why no instant may run, such as `deleted`. Those that the policy would have run or merged into a later
            one are PAUSED if the task is paused, else MISSED.
    """
    if paused:
        return find_paused(instants, after, None, until)
    missed = find_missed(instants, policy, after, None, now=now, start_of=lambda instant: instant.time, until=until)
    return _without_runs(missed, instants, until, obstacle) if obstacle else missed


def _without_runs(
    missed: MissedInstants, instants: UnskippedInstants, until: datetime, obstacle: str
) -> MissedInstants:
    """Gives the instants that would have run, and those that they replace, the outcome of the obstacle."""
    outcome = "PAUSED" if obstacle == "paused" else "MISSED"
    reason = f"the task was {obstacle} before it was caught up"
    missed.groups = [
        (outcome, reason, group) if name == "COALESCED" else (name, text, group) for name, text, group in missed.groups
    ]
    instant, missed.to_run = missed.to_run, None
    while instant is not None and instant.time <= until:
        if missed.is_full:
            missed.complete = False
            break
        missed.add(outcome, reason, instant)
        instant, missed.state = instants.next(instant.time, missed.state)
    return missed


def _first_kept(
    instants: UnskippedInstants, policy: CatchUpPolicy, after: datetime, has_passed: HasPassed
) -> tuple[datetime | None, bool]:
    """Where the newest `keep` begin among the missed instants that are looked at, and whether these are all."""
    limit = INSTANTS_PER_TRANSACTION + policy.keep
    newest: deque[datetime] = deque(maxlen=policy.keep)
    instant, state = instants.next_open(after)
    for _ in range(limit):
        if instant is None or not has_passed(instant):
            return (newest[0] if newest else None), True
        newest.append(instant.time)
        instant, state = instants.next_open(instant.time, state)
    return (newest[0] if newest else None), False
