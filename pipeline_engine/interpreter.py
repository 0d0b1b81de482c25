"""Executes one run: a pure state machine, driven from outside.

`execute` is a generator: it yields a Request when it needs something and is sent the answer; a run that needs nothing
ends without a single one. Steps with effects start only when every earlier one is durable; skipped steps, pure steps
and attempts that are repeated travel with the next message.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ordinaut.clock import Clock
from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import moment_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, RunStart
from pipeline_engine.attempt import Input, check_output, expression_failure, render, render_input
from pipeline_engine.failure import DENIED, TIMEOUT, TOOL_ERROR, Failure
from pipeline_engine.journal import FAILED, SKIPPED, SUCCEEDED, Journal, idempotency_key
from pipeline_engine.language.plan import Plan, StepPlan
from pipeline_engine.requests import Answer, Call, Commit, Delayed, Ending, Finished, Output, Perform, Request, Sleep
from pipeline_engine.retry import MAX_DELAY_IN_ENGINE_SECONDS, delay_seconds, is_repeated
from pipeline_engine.tools.definition import Kind, Tool

HANDLER_SECONDS = 60.0
"""How long the handlers of a run that has run out of time may take."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """`orchestrator.stop` was reached; the output is JSON."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing has handled the failure; the run ends."""

    failure: Failure


Signal = Stopped | Failed | Delayed
Steps = Generator[Request, Answer, Signal | None]


def execute(
    plan: Plan, start: RunStart, clock: Clock, random: Callable[[], float]
) -> Generator[Request, Answer, Ending]:
    """Runs a plan from where its journal ends; `random` gives [0, 1) for the jitter of retries."""
    run = Run(plan, start, clock, random)
    signal = yield from run.sequence(plan.steps)
    if signal is None:
        signal = run.output()
    if isinstance(signal, Failed) and plan.on_error:
        run.grant(HANDLER_SECONDS)
        handled = yield from run.handle(plan.on_error, signal.failure)
        signal = handled if isinstance(handled, Delayed) else signal
    return run.ending(signal)


class Run:
    """The state of one run while it is in this engine."""

    __slots__ = ("_clock", "_deadline", "_random", "_root", "_wall_us", "journal", "plan", "roots", "steps")

    def __init__(self, plan: Plan, start: RunStart, clock: Clock, random: Callable[[], float]) -> None:
        self.plan = plan
        self.journal = Journal(start.journal)
        self.steps: dict[str, Any] = {}
        self.roots = _roots(plan, start, self.steps)
        self._root = start.root
        self._clock = clock
        self._random = random
        self._wall_us = int((clock.now().timestamp() - clock.monotonic()) * 1_000_000)
        self._deadline = self._first_deadline(start)

    def _first_deadline(self, start: RunStart) -> float:
        now = self._clock.monotonic()
        limit = now + start.remaining_ms / 1000 if start.remaining_ms else math.inf
        if self.plan.timeout is None:
            return limit
        began_us = start.journal[0].start_us if start.journal else self._now_us()
        elapsed = max(0.0, (self._now_us() - began_us) / 1_000_000)
        return min(limit, now + self.plan.timeout - elapsed)

    def grant(self, seconds: float) -> None:
        """Gives the run at least this long from now."""
        self._deadline = max(self._deadline, self._clock.monotonic() + seconds)

    def _now_us(self) -> int:
        return self._wall_us + int(self._clock.monotonic() * 1_000_000)

    def sequence(self, steps: Sequence[StepPlan]) -> Steps:
        """Runs steps in order; gives what ended them early, None when all are done."""
        for step in steps:
            if self.journal.is_large:
                yield Commit(self.journal.take())
            result: int | Failure | Signal | None = self._begin(step)
            if type(result) is int:
                result = self._pure(step) if step.pure else (yield from self._attempts(step, result))
            if type(result) is Failure:
                result = yield from self._failed(step, result)
            if isinstance(result, Signal):
                return result
        return None

    def _begin(self, step: StepPlan) -> int | Failure | Stopped | None:
        """The number of the attempt to make; None when the step is done or skipped."""
        recorded = self.journal.past.get(step.path)
        if recorded is None:
            return self._unless_skipped(step)
        if recorded.state == FAILED:
            failure = Failure.from_json(recorded.error)
            return recorded.attempt + 1 if is_repeated(failure, step.retry, recorded.attempt) else failure
        self._save(step, orjson.loads(recorded.output) if recorded.output else None)
        stops = step.kind is Kind.STOP and recorded.state == SUCCEEDED
        return Stopped(recorded.output) if stops else None

    def _unless_skipped(self, step: StepPlan) -> int | Failure | None:
        if step.condition is None:
            return 1
        start_us = self._now_us()
        self._enter(step, 1, start_us)
        try:
            if step.condition(self.roots):
                return 1
        except ExpressionError as error:
            return self._record_failure(step, 1, start_us, b"", expression_failure(error), repeated=False)
        self.journal.add(
            JournalEntry(path=step.path, attempt=1, state=SKIPPED, start_us=start_us, end_us=start_us),
            durable_first=False,
        )
        self._save(step, None)
        return None

    def _enter(self, step: StepPlan, attempt: int, start_us: int) -> None:
        if "step" in self.plan.roots:
            self.roots["step"] = {
                "id": step.names[0],
                "path": step.path,
                "attempt": attempt,
                "start_time": moment_of_us(start_us),
                "idempotency_key": idempotency_key(self._root, step.path),
            }

    def _pure(self, step: StepPlan) -> Failure | Stopped | None:
        """A step that touches nothing outside of the run."""
        start_us = self._now_us()
        self._enter(step, 1, start_us)
        if step.kind in {Kind.DENIED, Kind.UNKNOWN}:
            return self._record_failure(step, 1, start_us, b"", _uncallable(step), repeated=False)
        found = render_input(step, self.roots)
        if isinstance(found, Failure):
            return self._record_failure(step, 1, start_us, b"", found, repeated=False)
        if step.kind is Kind.FAIL:
            failure = Failure(found.value["code"], found.value["message"], details=found.value.get("details") or {})
            return self._record_failure(step, 1, start_us, found.body, failure, repeated=False)
        if step.kind is Kind.STOP:
            output = orjson.dumps(found.value.get("output"))
            self._record_success(step, 1, start_us, found.body, output, found.value.get("output"))
            return Stopped(output)
        self._record_success(step, 1, start_us, found.body, found.body, found.value)
        return None

    def _attempts(self, step: StepPlan, attempt: int) -> Generator[Request, Answer, Failure | Signal | None]:
        """A step with effects, until it succeeds or is given up."""
        while True:
            if self.journal.must_commit:
                yield Commit(self.journal.take())
            if self._remaining() <= 0:
                return Failed(_run_timeout(step, attempt))
            failure = yield from self._attempt(step, attempt)
            if failure is None:
                return None
            if self._remaining() <= 0:
                return Failed(_run_timeout(step, attempt))
            if not is_repeated(failure, step.retry, attempt):
                return failure
            delay = min(delay_seconds(step.retry, attempt, self._random), self._remaining())
            if delay > MAX_DELAY_IN_ENGINE_SECONDS:
                return Delayed(self.journal.take(), math.ceil(delay * 1000))
            yield Sleep(max(delay, 0.0))
            attempt += 1

    def _attempt(self, step: StepPlan, attempt: int) -> Generator[Request, Answer, Failure | None]:
        start_us = self._now_us()
        self._enter(step, attempt, start_us)
        found = render_input(step, self.roots)
        if isinstance(found, Failure):
            return self._record_failure(step, attempt, start_us, b"", found, repeated=False)
        if step.kind is Kind.EFFECT:
            return (yield from self._perform(step, attempt, start_us, found))
        if step.tool is None:
            raise AssertionError("a step with effects has a tool")
        return (yield from self._call(step, step.tool, attempt, start_us, found))

    def _perform(
        self, step: StepPlan, attempt: int, start_us: int, found: Input
    ) -> Generator[Request, Answer, Failure | None]:
        entry = JournalEntry(path=step.path, attempt=attempt, tool=step.uses, input=found.body, start_us=start_us)
        answer = yield Perform(self.journal.take(), entry, idempotency_key(self._root, step.path))
        if not isinstance(answer, JournalEntry):
            raise TypeError("an effect is answered with its entry")
        if answer.state != SUCCEEDED:
            return Failure.from_json(answer.error).at(step.path, step.uses, attempt)
        self._save(step, orjson.loads(answer.output) if answer.output else None)
        return None

    def _call(
        self, step: StepPlan, tool: Tool, attempt: int, start_us: int, found: Input
    ) -> Generator[Request, Answer, Failure | None]:
        timeout = min(step.timeout, self._remaining())
        key = idempotency_key(self._root, step.path)
        answer = yield Call(tool, found.value, found.body, key, timeout)
        if isinstance(answer, Output):
            output = check_output(step, answer.value)
            if not isinstance(output, Failure):
                self._record_success(step, attempt, start_us, found.body, output, answer.value)
                return None
            answer = output
        if not isinstance(answer, Failure):
            raise TypeError("a call is answered with an output or a failure")
        repeated = is_repeated(answer, step.retry, attempt) and self._remaining() > 0
        return self._record_failure(step, attempt, start_us, found.body, answer, repeated=repeated)

    def _record_success(
        self, step: StepPlan, attempt: int, start_us: int, body: bytes, output: bytes, value: Any
    ) -> None:
        entry = JournalEntry(
            path=step.path,
            attempt=attempt,
            state=SUCCEEDED,
            tool=step.uses,
            input=body,
            output=output,
            start_us=start_us,
            end_us=self._now_us(),
        )
        self.journal.add(entry, durable_first=not step.pure)
        self._save(step, value)

    def _record_failure(
        self, step: StepPlan, attempt: int, start_us: int, body: bytes, failure: Failure, *, repeated: bool
    ) -> Failure:
        placed = failure.at(step.path, step.uses, attempt)
        entry = JournalEntry(
            path=step.path,
            attempt=attempt,
            state=FAILED,
            tool=step.uses,
            input=body,
            error=placed.to_json(),
            start_us=start_us,
            end_us=self._now_us(),
        )
        self.journal.add(entry, durable_first=not (step.pure or repeated))
        return placed

    def _save(self, step: StepPlan, value: Any) -> None:
        for name in step.names:
            self.steps[name] = value

    def _failed(self, step: StepPlan, failure: Failure) -> Steps:
        """What a step's `on_error` makes of its final failure."""
        if step.on_error == "fail":
            return Failed(failure)
        self._save(step, {"error": failure.to_dict()})
        return (yield from self.handle(step.handlers, failure)) if step.handlers else None

    def handle(self, steps: Sequence[StepPlan], failure: Failure) -> Steps:
        """Runs handlers with `error` as a root name."""
        outer = self.roots.get("error")
        self.roots["error"] = failure.to_dict()
        signal = yield from self.sequence(steps)
        self.roots["error"] = outer
        return signal

    def _remaining(self) -> float:
        return self._deadline - self._clock.monotonic()

    def output(self) -> Signal | None:
        """The pipeline's output, once all steps are done."""
        if self.plan.output is None:
            return None
        rendered = render(self.plan.output, self.roots)
        return Failed(rendered) if isinstance(rendered, Failure) else Stopped(rendered[1])

    def ending(self, signal: Signal | None) -> Ending:
        """The last message of the run."""
        if isinstance(signal, Delayed):
            return signal
        if isinstance(signal, Failed):
            return Finished(self.journal.take(), FAILED, error=signal.failure.to_json())
        return Finished(self.journal.take(), SUCCEEDED, output=signal.output if signal else b"")


def _roots(plan: Plan, start: RunStart, steps: dict[str, Any]) -> dict[str, Any]:
    roots: dict[str, Any] = {"steps": steps}
    if "params" in plan.roots:
        roots["params"] = orjson.loads(start.params) if start.params else {}
    if "event" in plan.roots:
        roots["event"] = orjson.loads(start.event) if start.event else None
    if "run" in plan.roots:
        roots["run"] = orjson.loads(start.run) if start.run else {}
    if "now" in plan.roots:
        roots["now"] = moment_of_us(start.now_us)
    return roots


def _uncallable(step: StepPlan) -> Failure:
    if step.kind is Kind.DENIED:
        return Failure(DENIED, f"the task's owner may not call {step.uses}")
    return Failure(TOOL_ERROR, f"unknown tool {step.uses}")


def _run_timeout(step: StepPlan, attempt: int) -> Failure:
    return Failure(TIMEOUT, "the run has taken longer than it may", step=step.path, tool=step.uses, attempt=attempt)
