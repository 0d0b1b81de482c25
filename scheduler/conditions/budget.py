"""The CPU time that each project may spend on conditions."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

RATE = 0.05
"""CPU seconds a second for each project, in each scheduler."""
BURST_SECONDS = 1.0
SLICE_SECONDS = 0.02
"""The most that one project spends before the next one is served."""
MIN_SLICE_SECONDS = 0.002
EXHAUSTED_SECONDS = 60.0
SHARE = 0.25


@dataclass(slots=True)
class _Project:
    seconds: float
    time: float
    served: float = -math.inf
    exhausted_since: float | None = None
    spent: dict[int, float] = field(default_factory=lambda: defaultdict(float))


class Budgets:
    """A token bucket for each project; overdrafts are paid back before the next slice.

    Projects take turns: the one that was served least recently is next.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._projects: dict[str, _Project] = {}

    def in_turn(self, projects: Iterable[str]) -> list[str]:
        """Those of the projects that have work which may spend something now, in the order of their turns.

        A project without work has an exhausted budget no longer.
        """
        now = self._clock()
        waiting = set(projects)
        for name, project in list(self._projects.items()):
            self._refill(project, now)
            if name not in waiting:
                self._recovered(project)
                if project.seconds >= BURST_SECONDS:
                    del self._projects[name]
        for name in waiting - self._projects.keys():
            self._projects[name] = _Project(BURST_SECONDS, now)
        ready = [name for name in waiting if self._projects[name].seconds >= MIN_SLICE_SECONDS]
        return sorted(ready, key=lambda name: (self._projects[name].served, name))

    def slice(self, project: str) -> float:
        """Begins the turn of a project; the CPU seconds that it may spend."""
        state = self._projects[project]
        state.served = self._clock()
        return min(SLICE_SECONDS, state.seconds)

    def charge(self, project: str, seconds: float, triggers: Mapping[int, float]) -> Sequence[int]:
        """Charges what was spent, and which part of it on which triggers; returns the triggers to disable.

        These are the ones that took more than 25 % of what the project has spent since its budget was exhausted, at
        least 60 s ago.
        """
        state, now = self._projects[project], self._clock()
        self._refill(state, now)
        state.seconds -= seconds
        if state.exhausted_since is None and state.seconds < MIN_SLICE_SECONDS:
            state.exhausted_since = now
            state.spent.clear()
        for trigger, part in triggers.items():
            state.spent[trigger] += part
        if state.exhausted_since is None or now - state.exhausted_since < EXHAUSTED_SECONDS:
            return []
        total = sum(state.spent.values())
        costly = [trigger for trigger, part in state.spent.items() if part > SHARE * total]
        self._recovered(state)
        return costly

    def _refill(self, project: _Project, now: float) -> None:
        project.seconds = min(BURST_SECONDS, project.seconds + RATE * (now - project.time))
        project.time = now
        if project.seconds > BURST_SECONDS / 2:
            self._recovered(project)

    def _recovered(self, project: _Project) -> None:
        project.exhausted_since = None
        project.spent.clear()
