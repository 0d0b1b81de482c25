"""Runs lines of steps in order: skips, resumes, dispatches and handles failures."""

from collections.abc import Sequence

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.flow.approval_gate import await_approval
from pipeline_engine.interpreter.flow.attempts import run_attempts, run_pure
from pipeline_engine.interpreter.flow.blocks import run_branches, run_group, run_loop
from pipeline_engine.interpreter.flow.rounds import run_rounds
from pipeline_engine.interpreter.flow.unsafe_calls import interrupted_attempt
from pipeline_engine.interpreter.flow.waits import run_wait
from pipeline_engine.interpreter.journal import FAILED, RUNNING, SKIPPED, SUCCEEDED
from pipeline_engine.interpreter.requests import Sleep
from pipeline_engine.interpreter.retry import is_repeated
from pipeline_engine.interpreter.step_values import expression_failure
from pipeline_engine.interpreter.strand import Strand
from pipeline_engine.interpreter.strand_protocol import (
    AwaitDurable,
    Exit,
    Failed,
    StepFlow,
    StepsFlow,
    Stopped,
)
from pipeline_engine.interpreter.taken_events import EVENT, positions_in
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind

ELSE = 0
"""Stands for the number of an attempt: the condition is false, and the steps of `else` run instead."""


def run_steps(strand: Strand, steps: Sequence[StepPlan]) -> StepsFlow:
    """Runs steps in order; returns the Exit that ended them early, or None.

    Between two steps the strand pauses when its expressions have used their share of the event loop, so that one run
    with costly expressions does not delay the others, and it waits for a commit when the unsent entries are large.
    """
    run = strand.run
    for step in steps:
        if run.account.should_yield:
            yield Sleep(0.0)
        if run.journal.is_large:
            yield AwaitDurable(run.journal.added)
        path = strand.prefix + step.id
        result: int | Failure | Exit | None = _start(strand, step, path)
        if type(result) is int:
            if result == ELSE or not step.plain:
                result = yield from _run_block(strand, step, path, result)
            elif step.pure:
                result = run_pure(strand, step, path)
            else:
                result = yield from run_attempts(strand, step, path, result)
        if type(result) is Failure:
            result = yield from _on_error(strand, step, path, result)
        if isinstance(result, Exit):
            return result
    return None


def _start(strand: Strand, step: StepPlan, path: str) -> int | Failure | Exit | None:
    """Returns the number of the attempt to make, or ELSE; None when the step is done or skipped."""
    recorded = strand.run.journal.recorded.get(path)
    if recorded is None:
        return _not_started(strand, step, path) or _start_unless_skipped(strand, step, path)
    if recorded.state == SKIPPED and step.otherwise:
        strand.save(step, None)
        return ELSE
    return _resume(strand, step, recorded, retried=step.foreach is None and step.rounds is None)


def _not_started(strand: Strand, step: StepPlan, path: str) -> Exit | None:
    """Returns the exit of a run in which no further step starts; None if this one has started, or may start."""
    journal = strand.run.journal
    if not strand.run.is_closed or path in journal.waits or path in journal.containers:
        return None
    return strand.expired(step, path, 1)


def _resume(strand: Strand, step: StepPlan, recorded: JournalEntry, *, retried: bool) -> int | Failure | Stopped | None:
    """Continues from the entry of an earlier segment: it counts as the result, unless a retry is due."""
    strand.take_inside(recorded.path)  # by branches or iterations, which have ended
    if recorded.state == RUNNING:
        return interrupted_attempt(strand, step, recorded)
    if recorded.state == FAILED:
        failure = Failure.from_json(recorded.error)
        is_retry_due = retried and is_repeated(failure, step.retry, recorded.attempt)
        return recorded.attempt + 1 if is_retry_due else failure
    strand.save(step, orjson.loads(recorded.output) if recorded.output else None)
    if step.uses == EVENT:
        strand.taken |= positions_in(strand.last_output)
    stops = step.kind is Kind.STOP and recorded.state == SUCCEEDED and bool(recorded.tool)
    return Stopped(recorded.output) if stops else None


def _start_unless_skipped(strand: Strand, step: StepPlan, path: str) -> int | Failure | None:
    """Evaluates the step's condition, unless an earlier segment has: then the step has a wait or inner entries."""
    journal = strand.run.journal
    if step.condition is None or path in journal.waits or path in journal.containers:
        return 1
    attempt = strand.begin(step, path, 1)
    try:
        if step.condition(strand.roots, strand.run.account):
            return 1
    except ExpressionError as error:
        return strand.record_failure(attempt, expression_failure(error))
    strand.record_skipped(attempt)
    return ELSE if step.otherwise else None


def _run_block(strand: Strand, step: StepPlan, path: str, number: int) -> StepFlow:
    if number == ELSE:
        return (yield from run_group(strand, step, step.otherwise, f"{path}.else", run_steps))
    if step.foreach is not None:
        return (yield from run_loop(strand, step, path, _run_iteration))
    return (yield from _run_once(strand, step, path, number))


def _run_iteration(strand: Strand, step: StepPlan, path: str) -> StepFlow:
    """Runs one iteration of a loop; the condition and the handlers belong to the loop as a whole."""
    recorded = strand.run.journal.recorded.get(path)
    result: int | Failure | Exit | None = _not_started(strand, step, path) or 1
    if recorded is not None:
        result = _resume(strand, step, recorded, retried=step.rounds is None)
    return (yield from _run_once(strand, step, path, result)) if isinstance(result, int) else result


def _run_once(strand: Strand, step: StepPlan, path: str, number: int) -> StepFlow:
    if step.rounds is not None:
        return (yield from run_rounds(strand, step, step.rounds, path, _run_round))
    return (yield from _run_action(strand, step, path, number))


def _run_round(strand: Strand, step: StepPlan, path: str) -> StepFlow:
    """Runs one round of a step with `until`; the condition and the handlers belong to all rounds together."""
    recorded = strand.run.journal.recorded.get(path)
    result: int | Failure | Exit | None = _not_started(strand, step, path) or 1
    if recorded is not None:
        result = _resume(strand, step, recorded, retried=True)
    return (yield from _run_action(strand, step, path, result)) if isinstance(result, int) else result


def _run_action(strand: Strand, step: StepPlan, path: str, number: int) -> StepFlow:
    if step.body is not None:
        return (yield from run_group(strand, step, step.body, path, run_steps))
    if step.branches is not None:
        return (yield from run_branches(strand, step, step.branches, path, run_steps))
    if step.pure:
        return run_pure(strand, step, path)
    if step.approval is not None and (refusal := (yield from await_approval(strand, step, path))) is not None:
        return refusal
    if step.kind is Kind.WAIT:
        return (yield from run_wait(strand, step, path))
    return (yield from run_attempts(strand, step, path, number))


def _on_error(strand: Strand, step: StepPlan, path: str, failure: Failure) -> StepsFlow:
    """Applies a step's `on_error` to its final failure."""
    if step.on_error == "fail":
        return Failed(failure)
    strand.save(step, {"error": failure.to_dict()})
    if not step.handlers:
        return None
    return (yield from run_handlers(strand, step.handlers, f"{path}.on_error.", failure))


def run_handlers(strand: Strand, steps: Sequence[StepPlan], prefix: str, failure: Failure) -> StepsFlow:
    """Runs handlers with the root name `error`."""
    inner = strand.inner(prefix, error=failure.to_dict())
    end = yield from run_steps(inner, steps)
    strand.continue_after(inner)
    return end
