"""What becomes of instants that passed while nothing could fire them."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import CompiledSchedule, Instant, span
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

INSTANTS_PER_TRANSACTION = 1000
DEFAULT_WINDOW = timedelta(hours=1)
DEFAULT_MAX = 100
ALL, NONE = "ALL", "NONE"


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """`catch_up` of a schedule: the newest `keep` missed instants may run, none later than its window."""

    name: str
    keep: int
    window: timedelta | None

    @classmethod
    def of(cls, schedule: dict[str, Any]) -> "CatchUpPolicy":
        """What the stored JSON form of a schedule says."""
        written = schedule.get("catch_up", {})
        name = written.get("policy", "")
        keep = {ALL: int(written.get("max", 0)) or DEFAULT_MAX, NONE: 0}.get(name, 1)
        return cls(name, keep, span(written.get("window")))

    def is_too_late(self, instant: Instant, now: datetime) -> bool:
        """Whether it lies before the window; without one, `once` and ALL are never too late."""
        window = self.window
        if window is None:
            if self.name == ALL or instant.key_nominal.startswith("once:"):
                return False
            window = DEFAULT_WINDOW
        return now - instant.time > window

    @property
    def passed_over(self) -> tuple[str, str]:
        """Outcome and reason of those that are not among the newest."""
        if self.name == NONE:
            return "MISSED", "missed ones are not caught up"
        if self.name == ALL:
            return "MISSED", f"only the newest {self.keep} are caught up"
        return "COALESCED", "a later one had passed as well"


@dataclass(slots=True)
class Passed:
    """Instants that will not run, in order, with the outcome and reason of each neighbourhood.

    `next` is the one behind them that is to run now. `all_seen`: there are no more of them; else the limit of one
    transaction ended the search.
    """

    last_instant: datetime
    state: dict[str, Any] = field(default_factory=dict)
    groups: list[tuple[str, str, list[Instant]]] = field(default_factory=list)
    next: Instant | None = None
    all_seen: bool = True

    @property
    def count(self) -> int:
        """How many instants passed without a run."""
        return sum(len(instants) for _, _, instants in self.groups)

    def add(self, outcome: str, reason: str, instant: Instant) -> None:
        """Accounts for one instant, which a day of exclusion explains before anything else does."""
        if instant.excluded:
            outcome, reason = "EXCLUDED", "its day is excluded"
        if not self.groups or self.groups[-1][:2] != (outcome, reason):
            self.groups.append((outcome, reason, []))
        self.groups[-1][2].append(instant)
        self.last_instant = instant.time


def kept_state(row: Any) -> dict[str, Any] | None:
    """What the cursor remembers; nothing when other zone data worked it out, by which a COUNT may end elsewhere."""
    text = row["trigger_state"]
    if not text or text == "{}" or row["zone_data"] not in (None, ZONE_DATA_VERSION):
        return None
    state: dict[str, Any] = json.loads(text)
    return state


class Steps:
    """The instants of a schedule without those that somebody has skipped: their rows stand already."""

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

    def _step(
        self, step: Callable[..., tuple[Instant | None, dict[str, Any]]], after: datetime, state: Any
    ) -> tuple[Instant | None, dict[str, Any]]:
        instant, state = step(after, state)
        while instant is not None and instant.time in self._skipped:
            instant, state = step(instant.time, state)
        return instant, state


def missed(
    schedule: CompiledSchedule, policy: CatchUpPolicy, row: Any, has_passed: Callable[[Instant], bool] | None = None
) -> Passed:
    """The oldest missed instants of a late cursor and what becomes of them, up to the first that is to run.

    `row` is the cursor's; what should have started by its `now` has passed, unless `has_passed` decides that. When
    there are too many for one transaction, those that could be among the newest are left.
    """
    task, after, now = row["task"], row["last_instant"], row["now"]
    has_passed = has_passed or (lambda instant: fire_time(schedule, task, instant) <= now)
    steps = Steps(schedule, row["skipped"])
    newest, all_open_seen = _newest(steps, policy, after, has_passed)
    passed = Passed(after)
    instant, passed.state = steps.next(after, kept_state(row))
    while instant is not None and has_passed(instant):
        if passed.count >= INSTANTS_PER_TRANSACTION:
            passed.all_seen = False
            break
        if newest is None or instant.time < newest or instant.excluded:
            passed.add(*policy.passed_over, instant)
        elif not all_open_seen:
            passed.all_seen = False
            break
        elif policy.is_too_late(instant, now):
            passed.add("MISSED", "too late to be caught up", instant)
        else:
            passed.next = instant
            break
        instant, passed.state = steps.next(instant.time, passed.state)
    return passed


def passed_while_paused(
    steps: Steps, after: datetime, state: dict[str, Any] | None, until: datetime, *, but_newest: bool = False
) -> Passed:
    """The instants of a pause, up to the limit of one transaction.

    `but_newest`: the newest that is not excluded is left to run, as `next`; so is the account of what follows it.
    """
    passed = Passed(after)
    held: list[Instant] = []  # the newest open one so far, and excluded ones behind it
    instant, passed.state = steps.next(after, state)
    while instant is not None and instant.time <= until:
        if passed.count >= INSTANTS_PER_TRANSACTION:
            passed.all_seen = False
            return passed
        if but_newest and not instant.excluded:
            _record_paused(passed, held)
            held = []
        held.append(instant)
        if not but_newest or held[0].excluded:
            _record_paused(passed, held)
            held = []
        instant, passed.state = steps.next(instant.time, passed.state)
    passed.next = held[0] if held else None
    return passed


def _record_paused(passed: Passed, instants: Iterable[Instant]) -> None:
    for instant in instants:
        passed.add("PAUSED", "the task was paused", instant)


def left_behind(schedule: CompiledSchedule, policy: CatchUpPolicy, row: Any) -> Passed:
    """As `missed`, for a stretch of arrears.

    What the policy would run is MISSED where an `obstacle` stands in its way.
    """
    steps, until = Steps(schedule, row["skipped"]), row["until_time"]
    if row["paused"]:
        return passed_while_paused(steps, row["last_instant"], None, until)
    passed = missed(schedule, policy, row, lambda instant: instant.time <= until)
    if row["obstacle"]:
        return _given_up(passed, steps, until, f"the task was {row['obstacle']} before it was caught up")
    return passed


def _given_up(passed: Passed, steps: Steps, until: datetime, reason: str) -> Passed:
    """With the instant that was to run and all behind it MISSED for that reason."""
    instant, passed.next = passed.next, None
    while instant is not None and instant.time <= until:
        if passed.count >= INSTANTS_PER_TRANSACTION:
            passed.all_seen = False
            break
        passed.add("MISSED", reason, instant)
        instant, passed.state = steps.next(instant.time, passed.state)
    return passed


def _newest(
    steps: Steps, policy: CatchUpPolicy, after: datetime, has_passed: Callable[[Instant], bool]
) -> tuple[datetime | None, bool]:
    """Where the newest `keep` begin among those that can be seen at once, and whether these are all."""
    most = INSTANTS_PER_TRANSACTION + policy.keep
    kept: deque[datetime] = deque(maxlen=policy.keep)
    instant, state = steps.next_open(after)
    for _ in range(most):
        if instant is None or not has_passed(instant):
            return (kept[0] if kept else None), True
        kept.append(instant.time)
        instant, state = steps.next_open(instant.time, state)
    return (kept[0] if kept else None), False
