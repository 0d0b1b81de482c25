"""What all strands of one run share: plan, journal, time, and what its expressions may cost."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from ordinaut.clock import Clock
from ordinaut.expressions import Account
from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart, Wait
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.interpreter.journal import Journal
from pipeline_engine.interpreter.step_values import Input
from pipeline_engine.language.plan import Plan

ASKED_MAX_BYTES = 8 * 1024 * 1024
"""What a run may wait for at once."""
MAX_ITERATIONS = 10_000
"""Of all loops of one run together."""
Beginnings = Mapping[tuple[str, int], int]
"""When attempts began, by path and number, in microseconds since 1970 UTC."""


class Heard(NamedTuple):
    """What has been waited for last: when it was, and its place in the log if it was an event, else 0.

    A time is one after which, inclusively, an event is news.
    """

    us: int
    position: int = 0


class Run:
    """The state of one run while it is in this engine; `fraction` gives [0, 1) for a key: the jitter of retries.

    A run that is replayed begins its attempts when they began (`begun_us`), as far as they are known. `approved`
    are the inputs that somebody has agreed to, by path. All outputs together have at most `outputs_max_bytes` as JSON,
    and what it waits for has `asked_bytes`.
    """

    __slots__ = (
        "_deadline",
        "_wall_us",
        "account",
        "approved",
        "asked_bytes",
        "begun_us",
        "clock",
        "created_us",
        "fraction",
        "heard",
        "iterations",
        "journal",
        "outputs_max_bytes",
        "plan",
        "root",
    )

    def __init__(
        self,
        plan: Plan,
        start: RunStart,
        clock: Clock,
        fraction: Callable[[str], float],
        begun_us: Beginnings | None = None,
        outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES,
    ) -> None:
        self.plan = plan
        self.outputs_max_bytes = outputs_max_bytes
        self.begun_us = begun_us
        self.clock = clock
        self.fraction = fraction
        self.root = start.root
        self.created_us = start.created_us
        self.heard = Heard(start.created_us)
        self.journal = Journal(start.journal, start.waits)
        self.asked_bytes = sum(len(entry.input) for entry in start.waits)
        self.account = Account()
        self.approved: dict[str, Input] = {}
        self.iterations = 0
        self._wall_us = round((clock.now().timestamp() - clock.monotonic()) * 1_000_000)
        self._deadline = self._first_deadline(start)

    def _first_deadline(self, start: RunStart) -> float:
        now = self.clock.monotonic()
        limit = now + start.remaining_ms / 1000 if start.remaining_ms else math.inf
        if self.plan.timeout is None:
            return limit
        began_us = start.journal[0].start_us if start.journal else self.now_us()
        elapsed = max(0.0, (self.now_us() - began_us) / 1_000_000 - start.waited_ms / 1000)
        return min(limit, now + self.plan.timeout - elapsed)

    def grant(self, seconds: float) -> None:
        """Gives the run at least this long from now, and whatever room it needs."""
        self._deadline = max(self._deadline, self.clock.monotonic() + seconds)
        self.outputs_max_bytes = math.inf

    def may_ask(self, wish: Wait) -> bool:
        """Whether the run may wait for this beside what it waits for already; counts it."""
        self.asked_bytes += wish.ByteSize()
        return self.asked_bytes <= ASKED_MAX_BYTES

    def remaining(self) -> float:
        """How many seconds the run may still take."""
        return self._deadline - self.clock.monotonic()

    def now_us(self) -> int:
        """Microseconds since 1970 UTC, never backwards."""
        return self._wall_us + round(self.clock.monotonic() * 1_000_000)

    def begins_us(self, path: str, attempt: int) -> int:
        """When an attempt that begins now begins."""
        now_us = self.now_us()
        return now_us if self.begun_us is None else self.begun_us.get((path, attempt), now_us)


def roots_of(plan: Plan, start: RunStart) -> dict[str, Any]:
    """The root names of a run, as far as its expressions read them."""
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
