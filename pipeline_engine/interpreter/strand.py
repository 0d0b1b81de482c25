"""The state of one line of steps, and the recording of their results.

A strand does not decide what runs next: the modules in `flow` do. They take a strand, yield requests to the executor
and record the results here.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import DEADLINE, PAYLOAD_TOO_LARGE, TIMEOUT, Failure
from pipeline_engine.interpreter.discreet_failure import discreet
from pipeline_engine.interpreter.journal import CANCELLED, FAILED, SUCCEEDED
from pipeline_engine.interpreter.requests import CheckValue, Output, Sleep
from pipeline_engine.interpreter.retry import delay_seconds, is_repeated
from pipeline_engine.interpreter.run import Run
from pipeline_engine.interpreter.step_values import (
    Input,
    after_check,
    check_output,
    costly_output_check,
    render_input,
)
from pipeline_engine.interpreter.strand_protocol import Expired, StrandRequest
from pipeline_engine.interpreter.taken_events import NO_POSITIONS, Positions
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind, Tool


@dataclass(slots=True)
class Attempt:
    """One attempt of a step: its number from 1, its start in microseconds since 1970 UTC, and its input.

    The input is set when it is rendered. The class is not frozen because one is created on each step's path, and a
    frozen one takes several times as long.
    """

    step: StepPlan
    path: str
    number: int
    start_us: int
    input: Input | None = None

    @property
    def body(self) -> bytes:
        """The input as JSON; empty before it is rendered."""
        return b"" if self.input is None else self.input.body


class Strand:
    """One line of steps. `prefix` begins their paths; `roots` are the values of the root names.

    `barrier` is the number of the journal entry that must be durable before the next step with effects starts.
    `last_output` is the output of the step that ended last. `taken` are the positions in the log of the events that
    ended earlier waits of the strand and of the strands around it; no later wait of the strand ends with one of them.
    """

    __slots__ = ("barrier", "last_output", "prefix", "roots", "run", "taken")

    def __init__(self, run: Run, prefix: str, roots: dict[str, Any], barrier: int = 0) -> None:
        self.run = run
        self.prefix = prefix
        self.roots = roots
        self.barrier = barrier
        self.last_output: Any = None
        self.taken: Positions = NO_POSITIONS

    def inner(self, prefix: str, **roots: Any) -> "Strand":
        """Returns a strand inside this one, with further root names."""
        inner = Strand(self.run, prefix, {**self.roots, **roots}, self.barrier)
        inner.taken = self.taken
        return inner

    def continue_after(self, inner: "Strand") -> None:
        """Takes over the barrier and the taken events of an inner strand that ran in this strand's place."""
        self.barrier, self.taken = inner.barrier, inner.taken

    def join(self, path: str) -> None:
        """Takes over the newest barrier of the run, and the taken events of concurrent strands after their end."""
        self.barrier = self.run.journal.last_barrier
        self.take_inside(path)

    def take_inside(self, path: str) -> None:
        """Takes the events that ended waits inside of a step."""
        if positions := self.run.taken_events.inside(path):
            self.taken |= positions

    def begin(self, step: StepPlan, path: str, number: int) -> Attempt:
        """Starts an attempt and sets the root name `step`."""
        start_us = self.run.attempt_start_us(path, number)
        if "step" in self.run.plan.roots:
            self.roots["step"] = {
                "id": step.id,
                "path": path,
                "attempt": number,
                "start_time": timestamp_of_us(start_us),
                "idempotency_key": idempotency_key(self.run.root, path),
            }
        return Attempt(step, path, number, start_us)

    def input_of(self, step: StepPlan, path: str) -> Input | Failure:
        """Returns the input of a call: the approved one, or else rendered now."""
        approved = None if step.approval is None else self.run.approved_inputs[path]
        rendered = approved or render_input(step, self.roots, self.run.account)
        if self.run.guard is not None and isinstance(rendered, Input):
            return self.run.guard(step.uses, rendered.value) or rendered
        return rendered

    def input_after_check(self, rendered: Input) -> Generator[StrandRequest, Any, Input | Failure]:
        """Waits for the costly check of an input."""
        if rendered.unchecked is None:
            return rendered
        return after_check(rendered, (yield CheckValue(rendered.unchecked, rendered.body)))

    def output_after_check(self, step: StepPlan, response: object) -> Generator[StrandRequest, Any, object]:
        """Waits for the check of a tool's output if it is costly."""
        if isinstance(response, Output) and (check := costly_output_check(step, response)) is not None:
            return replace(response, is_checked=True, problem=(yield check))
        return response

    def limited(self, output: bytes) -> bytes | Failure:
        """Returns the output; a failure when all outputs of the run together would exceed their limit."""
        size = self.run.journal.output_bytes + len(output)
        if size <= self.run.outputs_max_bytes:
            return output
        limit = int(self.run.outputs_max_bytes)
        return Failure(PAYLOAD_TOO_LARGE, f"all outputs of a run must be at most {limit} bytes together (got {size})")

    def expired(self, step: StepPlan, path: str, number: int) -> Expired | None:
        """Returns the exit of a run that has exceeded its timeout or deadline or is cancelled; None if it has time."""
        failure = self.run.overdue()
        return None if failure is None else Expired(failure.at(path, step.uses, number))

    def end_wait(self, expired: Expired, path: str) -> Expired:
        """Records a wait of an earlier segment that ends with the run's time, FAILED, or with the run, CANCELLED."""
        requested = self.run.journal.waits.get(path)
        if requested is None:
            return expired
        entry = JournalEntry()
        entry.CopyFrom(requested)
        entry.end_us = self.run.now_us()
        if self.run.cancelled:
            entry.state = CANCELLED
        else:
            entry.state, entry.error = FAILED, expired.failure.to_json()
        self.record(entry)
        return expired

    def record(self, entry: JournalEntry) -> None:
        """Adds an entry as a barrier: the result of a step with effects, of a wait, or the start of an UNSAFE call."""
        self._add(entry, barrier=True)

    def record_skipped(self, attempt: Attempt) -> None:
        """Records that the condition of a step was false; its output is null."""
        self._add(self._entry(attempt, "SKIPPED", tool="", end_us=attempt.start_us), barrier=False)
        self.save(attempt.step, None)

    def record_joined(self, attempt: Attempt, output: bytes, value: Any) -> None:
        """Records that all iterations or branches of a step are done: an entry without a tool."""
        self._add(self._entry(attempt, SUCCEEDED, tool="", output=output), barrier=False)
        self.save(attempt.step, value)

    def record_success(self, attempt: Attempt, output: bytes, value: Any) -> None:
        """Records that a step has succeeded, and saves its output under its names."""
        entry = self._entry(attempt, SUCCEEDED, tool=attempt.step.uses, output=output)
        self._add(entry, barrier=not attempt.step.pure)
        self.save(attempt.step, value)

    def record_failure(self, attempt: Attempt, failure: Failure, *, repeated: bool = False) -> Failure:
        """Records a failed attempt and returns the failure with its step path.

        An attempt that will be repeated is no barrier: the next attempt uses the same idempotency key, so it may start
        before this entry is durable.
        """
        step = attempt.step
        if step.tool is not None and step.tool.sensitive is not None:
            failure = discreet(failure, step.tool.sensitive)
        located = failure if failure.step else failure.at(attempt.path, step.uses, attempt.number)
        entry = self._entry(attempt, FAILED, tool=step.uses, error=located.to_json())
        self._add(entry, barrier=not (step.pure or repeated))
        return located

    def record_response(self, attempt: Attempt, response: object) -> Failure | None:
        """Records the outcome of a call; returns its failure, or None if the step has succeeded."""
        step = attempt.step
        if isinstance(response, Output):
            output = check_output(step, response)
            if not isinstance(output, Failure):
                output = self.limited(output)
            if not isinstance(output, Failure):
                self.record_success(attempt, output, response.value)
                return None
            output = _with_response(output, response)
            response = output.with_known_outcome(happened=True) if step.kind is Kind.UNSAFE else output
        if not isinstance(response, Failure):
            raise TypeError("the response to a call must be an Output or a Failure")
        if response.code == TIMEOUT and (overdue := self.run.overdue()) is not None and overdue.code == DEADLINE:
            response = Failure(DEADLINE, f"no answer: {overdue.message}")
        if response.retry_after > self.run.remaining():  # the run cannot wait that long, so the step fails now
            response = replace(response, retry_after=math.inf)
        repeated = is_repeated(response, step.retry, attempt.number) and self.run.remaining() > 0
        if repeated:
            delay = self.retry_delay(step, attempt.path, attempt.number, response.retry_after)
            response = response.with_next_attempt(self.run.now_us() + round(delay * 1_000_000))
        return self.record_failure(attempt, response, repeated=repeated)

    def retry_delay(self, step: StepPlan, path: str, number: int, least: float = 0.0) -> float:
        """Returns the seconds after a failed attempt until the next one: at least `least`, at most the run's time."""
        key = idempotency_key(self.run.root, path)
        delay = max(least, delay_seconds(step.retry, number, key, self.run.fraction))
        return max(0.0, min(delay, self.run.remaining()))

    def await_hold(self, tool: Tool | None) -> Generator[StrandRequest, Any, None]:
        """Waits while the tool has asked this engine to wait, at most until the run's timeout."""
        while tool is not None and (seconds := min(self.run.hold(tool), self.run.remaining())) > 0:
            yield Sleep(seconds)

    def save(self, step: StepPlan, value: Any) -> None:
        """Saves an output under the step's names; inner steps that never ran are null."""
        steps = self.roots["steps"]
        for name in step.names:
            steps[name] = value
        for name in step.inner_names:
            steps.setdefault(name, None)
        self.last_output = value

    def _entry(
        self,
        attempt: Attempt,
        state: str,
        *,
        tool: str,
        output: bytes = b"",
        error: bytes = b"",
        end_us: int | None = None,
    ) -> JournalEntry:
        return JournalEntry(
            path=attempt.path,
            attempt=attempt.number,
            state=state,
            tool=tool,
            input=attempt.body,
            output=output,
            error=error,
            start_us=attempt.start_us,
            end_us=self.run.now_us() if end_us is None else end_us,
        )

    def _add(self, entry: JournalEntry, *, barrier: bool) -> None:
        number = self.run.journal.add(entry, barrier=barrier)
        if barrier:
            self.barrier = number


def _with_response(failure: Failure, response: Output) -> Failure:
    """Adds to the failure of an output's check what came back."""
    status = response.details.get("status")
    message = failure.message
    if status is not None and "body" not in response.details:
        message = f"the tool answered {status} without a body, which is null: {message}"
    return replace(failure, message=message, details={**response.details, **failure.details})
