"""What the matcher may spend on constant conditions while all projects wait for it."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

EVALUATIONS = 2000
MICROSECONDS = 10_000


class Allowances:
    """For each project 2000 evaluations and 10 ms of CPU time, in one batch of the matcher."""

    def __init__(self) -> None:
        self._evaluations: dict[str, int] = defaultdict(lambda: EVALUATIONS)
        self._nanoseconds: dict[str, int] = defaultdict(lambda: MICROSECONDS * 1000)

    @contextmanager
    def spend(self, project: str) -> Iterator[bool]:
        """Charges what is done inside to the project; False: nothing remains, and nothing is to be done."""
        if self._evaluations[project] <= 0 or self._nanoseconds[project] <= 0:
            yield False
            return
        self._evaluations[project] -= 1
        start = time.thread_time_ns()
        try:
            yield True
        finally:
            self._nanoseconds[project] -= time.thread_time_ns() - start
