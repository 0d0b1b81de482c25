"""`until`: a step runs in rounds until an expression holds, with a wait between two rounds.

The path of a round is `<path>[n]`, that of the wait after it `<path>.every[n]`. A wait that was requested shows that
the expression did not hold, so a resumed run does not evaluate it again: `now` has another value then.

The bounds count from the first round of a window. A new window begins when a retry of the run continues a loop that has
failed, otherwise the retry would fail at once. An entry `<path>.until[n]` marks the first round of a window: SUCCEEDED
with its start time, or SKIPPED if the loop failed before that round and a retry is to begin there.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import FAN_OUT_LIMIT, PAYLOAD_TOO_LARGE, TIMEOUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.interpreter.flow.waits import TIMER, waits_too_large
from pipeline_engine.interpreter.journal import FAILED, SKIPPED, SUCCEEDED, WAITING
from pipeline_engine.interpreter.requests import Sleep
from pipeline_engine.interpreter.run import Run
from pipeline_engine.interpreter.step_values import expression_failure
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import AwaitDurable, Exit, StepFlow, StrandRequest
from pipeline_engine.language.document import MAX_ITERATIONS, format_seconds
from pipeline_engine.language.plan import RoundsPlan, StepPlan

MAX_QUOTED_BYTES = 4096
"""Size as JSON of the largest output of a last round that the error of the loop contains."""
RunRound = Callable[[Strand, StepPlan, str], StepFlow]
"""Runs one round of a step under its path."""


@dataclass(slots=True)
class _Window:
    """The rounds that the bounds apply to: the first one, its start, and how often an entry has marked that round."""

    first: int = 0
    start_us: int = 0
    marks: int = 0


def run_rounds(strand: Strand, step: StepPlan, rounds: RoundsPlan, path: str, run_round: RunRound) -> StepFlow:
    """Runs rounds until the expression holds; the output is that of the last round.

    Each round sees the output of the round before under the names of the step, null in the first one.
    """
    loop = _Loop(strand, step, rounds, path)
    previous: Any = None
    for number in count():
        if strand.run.account.should_yield:
            yield Sleep(0.0)
        if strand.run.journal.is_large:
            yield AwaitDurable(strand.run.journal.added)
        if (exceeded := loop.enter(number)) is not None:
            return exceeded
        inner = strand.inner("", steps={**strand.roots["steps"], **dict.fromkeys(step.names, previous)})
        result = yield from run_round(inner, step, f"{path}[{number}]")
        strand.continue_after(inner)
        if isinstance(result, Failure):
            return loop.fail(result, number)
        if result is not None:
            return result
        previous = inner.last_output
        if not loop.is_followed(number):
            ended = loop.decide(inner, number)
            if ended is not None:
                return ended if isinstance(ended, Failure) else None
        if (stopped := (yield from loop.pause(number))) is not None:
            return stopped
    raise AssertionError("the rounds are bounded")


class _Loop:
    """The state of one loop, and its decisions."""

    def __init__(self, strand: Strand, step: StepPlan, rounds: RoundsPlan, path: str) -> None:
        self._strand = strand
        self._step = step
        self._rounds = rounds
        self._path = path
        self._run: Run = strand.run
        self._window = _Window(start_us=self._run.now_us())
        self._attempt = Attempt(step, path, 1, self._run.now_us())

    def enter(self, number: int) -> Failure | None:
        """Begins a round, and a window if it is the first round of one."""
        mark = self._run.journal.recorded.get(self._mark(number))
        if mark is not None:
            self._window = _Window(number, mark.start_us, mark.attempt)
        if self._rounds.timeout is not None and (mark.state == SKIPPED if mark is not None else number == 0):
            self._window.marks += 1
            self._window.start_us = self._run.attempt_start_us(self._mark(number), self._window.marks)
            self._add_mark(number, self._window.marks, SUCCEEDED, self._window.start_us)
        self._run.iterations += 1
        if self._run.iterations <= MAX_ITERATIONS:
            return None
        message = f"the loops of a run must have at most {MAX_ITERATIONS} iterations together"
        return self.fail(Failure(FAN_OUT_LIMIT, f"{message} (got {self._run.iterations})"), number)

    def is_followed(self, number: int) -> bool:
        """Whether the journal shows that the expression did not hold after a round."""
        journal = self._run.journal
        wait = self._wait(number)
        return wait in journal.recorded or wait in journal.waits or self._mark(number + 1) in journal.recorded

    def decide(self, inner: Strand, number: int) -> Failure | bool | None:
        """Evaluates the expression after a round: True ends the loop, None continues it."""
        try:
            holds = self._rounds.until(inner.roots, self._run.account)
        except ExpressionError as error:
            return self.fail(expression_failure(error), number)
        if holds:
            return self._succeed(inner.last_output, number) or True
        done = number + 1 - self._window.first
        if done >= self._rounds.max_rounds:
            return self.fail(_exhausted("max_rounds", f"after {done} rounds", done, inner.last_output), number + 1)
        if self._rounds.timeout is not None and self._is_late(number):
            within = f"within {format_seconds(self._rounds.timeout)}, after {done} rounds"
            return self.fail(_exhausted("timeout", within, done, inner.last_output), number + 1)
        return None

    def fail(self, failure: Failure, continued: int) -> Failure:
        """Records the failure of the loop; a retry of the run continues it with the round `continued`."""
        marks = self._window.marks if continued == self._window.first else 0
        self._add_mark(continued, marks + 1, SKIPPED, self._run.now_us())
        return self._strand.record_failure(self._attempt, failure)

    def pause(self, number: int) -> Generator[StrandRequest, Any, Failure | Exit | None]:
        """Waits after a round, unless the wait is over or the next round begins a window."""
        journal, path = self._run.journal, self._wait(number)
        if path in journal.recorded or self._mark(number + 1) in journal.recorded:
            return None
        requested = journal.waits.get(path)
        if requested is None or requested.state == WAITING:
            if (expired := self._strand.expired(self._step, self._path, 1)) is not None:
                return self._strand.end_wait(expired, path)
            wait = self._wait_request(path) if requested is None else Wait(path=path)
            if not self._run.reserve_wait(wait):
                return self.fail(waits_too_large(), number + 1)
            yield wait
            raise AssertionError("a suspended run resumes in another segment")
        self._strand.record(requested)
        return self.fail(Failure.from_json(requested.error), number + 1) if requested.state == FAILED else None

    def _wait_request(self, path: str) -> Wait:
        """The wait of `every`; in a loop with a timeout it ends at its end, so that the last round is made then."""
        seconds = min(self._rounds.every, self._remaining())
        body = orjson.dumps({"for": format_seconds(self._rounds.every)})
        return Wait(path=path, kind="TIMER", tool=TIMER, deadline_ms=max(1, math.ceil(seconds * 1000)), input=body)

    def _succeed(self, value: Any, number: int) -> Failure | None:
        try:
            body = self._strand.limited(write(value))
        except PayloadError as error:
            body = Failure(PAYLOAD_TOO_LARGE, f"the output of the last round: {error}")
        if isinstance(body, Failure):
            return self.fail(body, number)
        self._strand.record_joined(self._attempt, body, value)
        return None

    def _remaining(self) -> float:
        """The seconds until the timeout of the loop."""
        if self._rounds.timeout is None:
            return math.inf
        return self._rounds.timeout - (self._run.now_us() - self._window.start_us) / 1_000_000

    def _is_late(self, number: int) -> bool:
        """Whether the timeout has passed after a round; a replay follows the record, because its clock differs."""
        if self._run.start_times is not None:
            return (self._mark(number + 1), 1) in self._run.start_times
        return self._remaining() <= 0

    def _wait(self, number: int) -> str:
        return f"{self._path}.every[{number}]"

    def _mark(self, number: int) -> str:
        return f"{self._path}.until[{number}]"

    def _add_mark(self, number: int, attempt: int, state: str, us: int) -> None:
        entry = JournalEntry(path=self._mark(number), attempt=attempt, state=state, start_us=us, end_us=us)
        self._run.journal.add(entry, barrier=False)


def _exhausted(limit: str, text: str, rounds: int, output: Any) -> Failure:
    """The failure of a loop that has reached a bound; a small output of the last round is part of it."""
    details: dict[str, Any] = {"limit": limit, "rounds": rounds}
    if len(orjson.dumps(output)) <= MAX_QUOTED_BYTES:
        details["output"] = output
    return Failure(TIMEOUT, f"`until` was not true {text}", details=details)
