"""One line of steps of a run: executes them in their order.

A strand is a generator: it yields a wish when it needs something and is sent the answer. Steps with effects start only
when every earlier one of the line is durable; skipped steps, pure steps and attempts that are repeated travel with the
next message.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import DENIED, PAYLOAD_TOO_LARGE, TIMEOUT, TOOL_ERROR, Failure
from pipeline_engine.interpreter import blocks, unsafe_calls
from pipeline_engine.interpreter.approval_gate import ask
from pipeline_engine.interpreter.journal import FAILED, RUNNING, SKIPPED, SUCCEEDED
from pipeline_engine.interpreter.requests import Call, Output, Sleep
from pipeline_engine.interpreter.retry import delay_seconds, is_repeated
from pipeline_engine.interpreter.run import Heard, Run
from pipeline_engine.interpreter.signals import Act, Attempt, Expired, Failed, Signal, Steps, Stopped, Until
from pipeline_engine.interpreter.step_values import Input, check_output, expression_failure, render_input
from pipeline_engine.interpreter.waits import heard, wait
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind, Tool


class Strand:
    """One line of steps: `prefix` begins their paths, `mark` is the entry that must be durable before the next effect.

    `last` is the output of the step that ended last. `heard` is that after which an event is news: when the
    run was enqueued, or what the line has waited for last.
    """

    __slots__ = ("heard", "last", "mark", "prefix", "roots", "run")

    def __init__(self, run: Run, prefix: str, roots: dict[str, Any], mark: int = 0) -> None:
        self.run = run
        self.prefix = prefix
        self.roots = roots
        self.mark = mark
        self.last: Any = None
        self.heard = Heard(run.created_us)

    def inside(self, prefix: str, **roots: Any) -> "Strand":
        """A strand below this one, which sees what this one sees and `roots`."""
        inner = Strand(self.run, prefix, {**self.roots, **roots}, self.mark)
        inner.heard = self.heard
        return inner

    def sequence(self, steps: Sequence[StepPlan]) -> Steps:
        """Runs steps in order; gives what ended them early, None when all are done."""
        for step in steps:
            if self.run.account.should_yield:
                yield Sleep(0.0)
            if self.run.journal.is_large:
                yield Until(self.run.journal.added)
            path = self.prefix + step.id
            result: int | Failure | Signal | None = self._begin(step, path)
            if type(result) is int:
                if not step.plain:
                    result = yield from self._act(step, path, result)
                elif step.pure:
                    result = self._pure(step, path)
                else:
                    result = yield from self._attempts(step, path, result)
            if type(result) is Failure:
                result = yield from self._failed(step, path, result)
            if isinstance(result, Signal):
                return result
        return None

    def _begin(self, step: StepPlan, path: str) -> int | Failure | Stopped | None:
        """The number of the attempt to make; None when the step is done or skipped."""
        recorded = self.run.journal.past.get(path)
        if recorded is None:
            return self._unless_skipped(step, path)
        return self._recall(step, recorded, repeated=step.foreach is None)

    def _recall(self, step: StepPlan, recorded: JournalEntry, *, repeated: bool) -> int | Failure | Stopped | None:
        if recorded.state == RUNNING:
            return unsafe_calls.recall(self, step, recorded)
        if recorded.state == FAILED:
            failure = Failure.from_json(recorded.error)
            again = repeated and is_repeated(failure, step.retry, recorded.attempt)
            return recorded.attempt + 1 if again else failure
        self.save(step, orjson.loads(recorded.output) if recorded.output else None)
        if step.kind is Kind.WAIT and recorded.tool:
            heard(self, step.uses, self.last)
        stops = step.kind is Kind.STOP and recorded.state == SUCCEEDED and bool(recorded.tool)
        return Stopped(recorded.output) if stops else None

    def _unless_skipped(self, step: StepPlan, path: str) -> int | Failure | None:
        if step.condition is None or path in self.run.journal.waits or path in self.run.journal.begun:
            return 1
        start_us = self._enter(step, path, 1)
        try:
            if step.condition(self.roots, self.run.account):
                return 1
        except ExpressionError as error:
            return self.record_failure(step, path, 1, start_us, b"", expression_failure(error), repeated=False)
        self.run.journal.add(
            JournalEntry(path=path, attempt=1, state=SKIPPED, start_us=start_us, end_us=start_us),
            durable_first=False,
        )
        self.save(step, None)
        return None

    def _enter(self, step: StepPlan, path: str, attempt: int) -> int:
        """Begins an attempt, and gives the moment: microseconds since 1970 UTC."""
        start_us = self.run.begins_us(path, attempt)
        if "step" in self.run.plan.roots:
            self.roots["step"] = {
                "id": step.id,
                "path": path,
                "attempt": attempt,
                "start_time": timestamp_of_us(start_us),
                "idempotency_key": idempotency_key(self.run.root, path),
            }
        return start_us

    def _act(self, step: StepPlan, path: str, attempt: int) -> Attempt:
        if step.foreach is not None:
            return (yield from blocks.loop(self, step, path))
        return (yield from self._once(step, path, attempt))

    def repeat(self, step: StepPlan, path: str) -> Attempt:
        """One iteration of a step, without its condition and handlers."""
        recorded = self.run.journal.past.get(path)
        result = 1 if recorded is None else self._recall(step, recorded, repeated=True)
        return (yield from self._once(step, path, result)) if isinstance(result, int) else result

    def _once(self, step: StepPlan, path: str, attempt: int) -> Attempt:
        if step.body is not None:
            return (yield from blocks.group(self, step, step.body, path))
        if step.branches is not None:
            return (yield from blocks.fork(self, step, step.branches, path))
        if step.pure:
            return self._pure(step, path)
        if step.approval is not None and (refusal := (yield from self._gate(step, path))) is not None:
            return refusal
        if step.kind is Kind.WAIT:
            return (yield from self._wait(step, path))
        return (yield from self._attempts(step, path, attempt))

    def _gate(self, step: StepPlan, path: str) -> Attempt:
        """Has somebody agree to the step's input before the step begins."""
        if self.run.remaining() <= 0:
            return Expired(_run_timeout(step, path, 1))
        self._enter(step, path, 1)
        found = yield from ask(self, step, path)
        if isinstance(found, Failure):
            return found
        self.run.approved[path] = found
        return None

    def input_of(self, step: StepPlan, path: str) -> Input | Failure:
        """What a call gets: rendered now, or as somebody has agreed to it."""
        approved = None if step.approval is None else self.run.approved[path]
        return approved or render_input(step, self.roots, self.run.account)

    def _wait(self, step: StepPlan, path: str) -> Attempt:
        if self.run.remaining() <= 0:
            return Expired(_run_timeout(step, path, 1))
        self._enter(step, path, 1)
        return (yield from wait(self, step, path))

    def _pure(self, step: StepPlan, path: str) -> Failure | Stopped | None:
        """A step that touches nothing outside of the run."""
        start_us = self._enter(step, path, 1)
        if step.kind in {Kind.DENIED, Kind.UNKNOWN}:
            return self.record_failure(step, path, 1, start_us, b"", _uncallable(step), repeated=False)
        found = render_input(step, self.roots, self.run.account)
        if isinstance(found, Failure):
            return self.record_failure(step, path, 1, start_us, b"", found, repeated=False)
        if step.kind is Kind.FAIL:
            failure = Failure(found.value["code"], found.value["message"], details=found.value.get("details") or {})
            return self.record_failure(step, path, 1, start_us, found.body, failure, repeated=False)
        if step.kind is Kind.STOP:
            output = orjson.dumps(found.value.get("output"))
            self.record_success(step, path, 1, start_us, found.body, output, found.value.get("output"))
            return Stopped(output)
        room = self.room_for(found.body)
        if isinstance(room, Failure):
            return self.record_failure(step, path, 1, start_us, b"", room, repeated=False)
        self.record_success(step, path, 1, start_us, found.body, room, found.value)
        return None

    def room_for(self, output: bytes) -> bytes | Failure:
        """An output as JSON, when the run may keep it beside what it keeps already."""
        if self.run.journal.kept_bytes + len(output) <= self.run.outputs_max_bytes:
            return output
        return Failure(PAYLOAD_TOO_LARGE, "the outputs of the run are too large together")

    def _attempts(self, step: StepPlan, path: str, attempt: int) -> Attempt:
        """A step with effects, until it succeeds or is given up."""
        run = self.run
        if attempt > 1 and (left := self._left_of_delay(step, path, attempt - 1)) > 0:
            yield Sleep(left)
        while True:
            if self.mark > run.journal.durable and step.kind is not Kind.UNSAFE:  # whose start is durable in any case
                yield Until(self.mark)
            if run.remaining() <= 0:
                return Expired(_run_timeout(step, path, attempt))
            failure = yield from self._attempt(step, path, attempt)
            if failure is None:
                return None
            if run.remaining() <= 0:
                return Expired(_run_timeout(step, path, attempt))
            if type(failure) is not Failure or not is_repeated(failure, step.retry, failure.attempt):
                return failure
            attempt = failure.attempt  # a later one, where somebody had an UNSAFE call repeated
            yield Sleep(self._delay(step, path, attempt))
            attempt += 1

    def _delay(self, step: StepPlan, path: str, attempt: int) -> float:
        key = idempotency_key(self.run.root, path)
        delay = delay_seconds(step.retry, attempt, key, self.run.fraction)
        return max(0.0, min(delay, self.run.remaining()))

    def _left_of_delay(self, step: StepPlan, path: str, attempt: int) -> float:
        """What is left of the delay after an attempt that another engine has recorded."""
        recorded = self.run.journal.past[path]
        if recorded.state == RUNNING:  # the attempt after the delay
            return 0.0
        passed = (self.run.now_us() - recorded.end_us) / 1_000_000
        return max(0.0, self._delay(step, path, attempt) - max(0.0, passed))

    def _attempt(self, step: StepPlan, path: str, attempt: int) -> Attempt:
        start_us = self._enter(step, path, attempt)
        if step.kind is Kind.UNSAFE:
            return (yield from unsafe_calls.attempt(self, step, path, attempt, start_us))
        found = self.input_of(step, path)
        if isinstance(found, Failure):
            return self.record_failure(step, path, attempt, start_us, b"", found, repeated=False)
        if step.kind is Kind.EFFECT:
            return (yield from self._perform(step, path, attempt, start_us, found))
        if step.tool is None:
            raise AssertionError("a step with effects has a tool")
        return (yield from self._call(step, path, step.tool, attempt, start_us, found))

    def _perform(self, step: StepPlan, path: str, attempt: int, start_us: int, found: Input) -> Attempt:
        room = self.room_for(b"")
        if isinstance(room, Failure):
            return self.record_failure(step, path, attempt, start_us, found.body, room, repeated=False)
        entry = JournalEntry(path=path, attempt=attempt, tool=step.uses, input=found.body, start_us=start_us)
        answer = yield Act(entry, idempotency_key(self.run.root, path))
        if not isinstance(answer, JournalEntry):
            raise TypeError("an effect is answered with its entry")
        if answer.state != SUCCEEDED:
            return Failure.from_json(answer.error).at(path, step.uses, attempt)
        self.run.journal.kept_bytes += len(answer.output)
        self.save(step, orjson.loads(answer.output) if answer.output else None)
        return None

    def _call(self, step: StepPlan, path: str, tool: Tool, attempt: int, start_us: int, found: Input) -> Attempt:
        timeout = min(step.timeout, self.run.remaining())
        key = idempotency_key(self.run.root, path)
        answer = yield Call(tool, found.value, found.body, key, timeout, path, attempt, step.secrets)
        return self.conclude(step, path, attempt, start_us, found.body, answer)

    def conclude(
        self, step: StepPlan, path: str, attempt: int, start_us: int, body: bytes, answer: object
    ) -> Failure | None:
        """Notes what a call gave; its failure, or None when the step is done."""
        if isinstance(answer, Output):
            output = check_output(step, answer.value)
            if not isinstance(output, Failure):
                output = self.room_for(output)
            if not isinstance(output, Failure):
                self.record_success(step, path, attempt, start_us, body, output, answer.value)
                return None
            answer = unsafe_calls.known(output, happened=True) if step.kind is Kind.UNSAFE else output
        if not isinstance(answer, Failure):
            raise TypeError("a call is answered with an output or a failure")
        repeated = is_repeated(answer, step.retry, attempt) and self.run.remaining() > 0
        return self.record_failure(step, path, attempt, start_us, body, answer, repeated=repeated)

    def record(self, entry: JournalEntry) -> None:
        """Notes an entry that came from outside."""
        self._note(entry, durable_first=True)

    def record_joined(self, step: StepPlan, path: str, start_us: int, output: bytes, value: Any) -> None:
        """Notes that all iterations or branches of a step are done: an entry without a tool."""
        entry = JournalEntry(
            path=path, attempt=1, state=SUCCEEDED, output=output, start_us=start_us, end_us=self.run.now_us()
        )
        self._note(entry, durable_first=False)
        self.save(step, value)

    def record_success(
        self,
        step: StepPlan,
        path: str,
        attempt: int,
        start_us: int,
        body: bytes,
        output: bytes,
        value: Any,
        end_us: int | None = None,
    ) -> None:
        """Notes that a step is done, and makes its value known under its names."""
        entry = JournalEntry(
            path=path,
            attempt=attempt,
            state=SUCCEEDED,
            tool=step.uses,
            input=body,
            output=output,
            start_us=start_us,
            end_us=self.run.now_us() if end_us is None else end_us,
        )
        self._note(entry, durable_first=not step.pure)
        self.save(step, value)

    def record_failure(
        self, step: StepPlan, path: str, attempt: int, start_us: int, body: bytes, failure: Failure, *, repeated: bool
    ) -> Failure:
        """Notes a failed attempt; gives the failure with its place, which it keeps if it has one."""
        placed = failure if failure.step else failure.at(path, step.uses, attempt)
        entry = JournalEntry(
            path=path,
            attempt=attempt,
            state=FAILED,
            tool=step.uses,
            input=body,
            error=placed.to_json(),
            start_us=start_us,
            end_us=self.run.now_us(),
        )
        self._note(entry, durable_first=not (step.pure or repeated))
        return placed

    def _note(self, entry: JournalEntry, *, durable_first: bool) -> None:
        number = self.run.journal.add(entry, durable_first=durable_first)
        if durable_first:
            self.mark = number

    def save(self, step: StepPlan, value: Any) -> None:
        """Makes a value known under the step's names; steps inside of it that never ran are null."""
        steps = self.roots["steps"]
        for name in step.names:
            steps[name] = value
        for name in step.inner_names:
            steps.setdefault(name, None)
        self.last = value

    def _failed(self, step: StepPlan, path: str, failure: Failure) -> Steps:
        """What a step's `on_error` makes of its final failure."""
        if step.on_error == "fail":
            return Failed(failure)
        self.save(step, {"error": failure.to_dict()})
        return (yield from self.handle(step.handlers, f"{path}.on_error.", failure)) if step.handlers else None

    def handle(self, steps: Sequence[StepPlan], prefix: str, failure: Failure) -> Steps:
        """Runs handlers with `error` as a root name."""
        inner = self.inside(prefix, error=failure.to_dict())
        signal = yield from inner.sequence(steps)
        self.mark, self.heard = inner.mark, inner.heard
        return signal


def _uncallable(step: StepPlan) -> Failure:
    if step.kind is Kind.DENIED:
        return Failure(DENIED, f"the task's owner may not call {step.uses}")
    return Failure(TOOL_ERROR, f"unknown tool {step.uses}")


def _run_timeout(step: StepPlan, path: str, attempt: int) -> Failure:
    return Failure(TIMEOUT, "the run has taken longer than it may", step=path, tool=step.uses, attempt=attempt)
