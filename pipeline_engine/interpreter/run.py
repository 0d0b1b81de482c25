"""The state that all strands of one run share: plan, journal, time, and the limits of its expressions and waits."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ordinaut.clock import Clock
from ordinaut.expressions import Account
from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart, Wait
from ordinaut.limits import FINALLY_SECONDS, MAX_STEP_OUTPUTS_BYTES
from ordinaut.names import final_root
from pipeline_engine.data.failure import CANCELLED, DEADLINE, TIMEOUT, Failure
from pipeline_engine.interpreter.journal import Journal
from pipeline_engine.interpreter.step_values import Input
from pipeline_engine.interpreter.taken_events import TakenEvents
from pipeline_engine.language.document import format_seconds
from pipeline_engine.language.plan import Plan
from pipeline_engine.tools.definition import Tool

WAITS_MAX_BYTES = 8 * 1024 * 1024
"""Limit of all open waits of a run together."""
StartTimes = Mapping[tuple[str, int], int]
"""The start times of attempts, by path and number, in microseconds since 1970 UTC."""
Guard = Callable[[str, Any], Failure | None]
"""Returns why a tool must not get an input, by the name of the tool and the input."""


class Run:
    """The state of one run while it is in this engine.

    `root` begins its idempotency keys, `described` is the value of `run` as JSON. `fraction` returns a number in [0, 1)
    for a key: the jitter of retries. `start_times` are the recorded start times
    of a run that is replayed. `approved_inputs` are inputs that an approval was given for, by step path. All outputs
    together have at most `outputs_max_bytes` as JSON; its open waits have `wait_bytes`. `cancelled`: it is to be
    cancelled; `is_closed`: no step starts that the journal does not contain; `is_finishing`: it executes `finally`.
    """

    __slots__ = (
        "_deadline",
        "_end",
        "_wall_us",
        "account",
        "approved_inputs",
        "cancelled",
        "clock",
        "described",
        "fraction",
        "guard",
        "hold",
        "is_closed",
        "is_finishing",
        "iterations",
        "journal",
        "outputs_max_bytes",
        "plan",
        "root",
        "start_times",
        "taken_events",
        "wait_bytes",
    )

    def __init__(
        self,
        plan: Plan,
        start: RunStart,
        clock: Clock,
        fraction: Callable[[str], float],
        start_times: StartTimes | None = None,
        outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES,
        hold: Callable[[Tool], float] = lambda _tool: 0.0,
        guard: Guard | None = None,
    ) -> None:
        self.plan = plan
        self.hold = hold
        self.guard = guard
        self.outputs_max_bytes = outputs_max_bytes
        self.start_times = start_times
        self.clock = clock
        self.fraction = fraction
        self.root = start.root
        self.described = start.run
        self.journal = Journal(start.journal, start.waits)
        self.taken_events = TakenEvents(self.journal.recorded.values())
        self.wait_bytes = sum(len(entry.input) for entry in start.waits)
        self.account = Account()
        self.approved_inputs: dict[str, Input] = {}
        self.iterations = 0
        self._wall_us = round((clock.now().timestamp() - clock.monotonic()) * 1_000_000)
        self.cancelled = self.is_closed = start.cancelled
        self.is_finishing = False
        now, elapsed = clock.monotonic(), start.elapsed_ms / 1000
        self._end = math.inf if plan.deadline is None else now + plan.deadline - elapsed
        self._deadline = now + start.remaining_ms / 1000 if start.remaining_ms else math.inf
        if plan.timeout is not None:
            self._deadline = min(self._deadline, now + plan.timeout - max(0.0, elapsed - start.waited_ms / 1000))

    def extend(self, seconds: float) -> None:
        """Allows the run at least this long from now and renews its limits: its handlers must be able to run."""
        until = self.clock.monotonic() + seconds
        self._deadline, self._end = max(self._deadline, until), max(self._end, until)
        self._renew_limits()

    def finish_within(self, seconds: float) -> None:
        """Starts `finally`: it has this long, limits of its own, and keys that a retry does not repeat."""
        self.root = final_root(self.root, orjson.loads(self.described)["name"] if self.described else "")
        self._deadline, self._end = self.clock.monotonic() + seconds, math.inf
        self._renew_limits()
        self.is_finishing, self.is_closed = True, False

    def _renew_limits(self) -> None:
        self.outputs_max_bytes = math.inf
        self.account, self.iterations = Account(), 0

    def reserve_wait(self, wait: Wait) -> bool:
        """Counts a wait against the limit of open waits; False when it exceeds the limit."""
        self.wait_bytes += wait.ByteSize()
        return self.wait_bytes <= WAITS_MAX_BYTES

    def remaining(self) -> float:
        """Returns the seconds until the run's timeout or deadline, the earlier one."""
        return min(self._deadline, self._end) - self.clock.monotonic()

    def until_end(self) -> float:
        """Returns the seconds until the run's deadline, which it reaches also while it waits; infinite without one."""
        return self._end - self.clock.monotonic()

    def overdue(self) -> Failure | None:
        """Returns why no further step may start, or None: the failure of the run, without the step."""
        if self.is_closed:
            return Failure(CANCELLED, "the run was cancelled")
        if self.remaining() > 0:
            return None
        if self.is_finishing:
            return Failure(TIMEOUT, f"the steps of `finally` must end within {FINALLY_SECONDS} s")
        if self._end > self._deadline:
            return Failure(TIMEOUT, "the run has exceeded its timeout")
        limit = "" if self.plan.deadline is None else f" of {format_seconds(self.plan.deadline)}"
        return Failure(DEADLINE, f"the run has not ended within its deadline{limit}")

    def now_us(self) -> int:
        """Returns microseconds since 1970 UTC, never decreasing."""
        return self._wall_us + round(self.clock.monotonic() * 1_000_000)

    def attempt_start_us(self, path: str, number: int) -> int:
        """Returns the start time of an attempt that starts now; in a replay, its recorded start time."""
        now_us = self.now_us()
        return now_us if self.start_times is None else self.start_times.get((path, number), now_us)


def roots_of(plan: Plan, start: RunStart) -> dict[str, Any]:
    """Returns the values of the root names that the plan's expressions read."""
    roots: dict[str, Any] = {"steps": {}}
    if "params" in plan.roots:
        roots["params"] = orjson.loads(start.params) if start.params else {}
    if "event" in plan.roots:
        roots["event"] = orjson.loads(start.event) if start.event else None
    if "run" in plan.roots:
        roots["run"] = orjson.loads(start.run) if start.run else {}
    if "now" in plan.roots:
        roots["now"] = timestamp_of_us(start.now_us)
    return roots
