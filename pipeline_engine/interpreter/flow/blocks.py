"""Steps that contain steps: `do` runs them in order, `branches` and `foreach` concurrently.

The functions that run the inner steps are arguments, because these in turn run blocks. A concurrent block records an
entry when all its strands have ended, so that a resumed run knows the result without visiting the inner steps.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.limits import MAX_JSON_BYTES
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.failure import EXPRESSION, FAN_OUT_LIMIT, PAYLOAD_TOO_LARGE, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.interpreter.flow.chunks import Chunks
from pipeline_engine.interpreter.journal import SUCCEEDED
from pipeline_engine.interpreter.requests import Sleep
from pipeline_engine.interpreter.step_values import expression_failure
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import (
    AwaitDurable,
    Exit,
    Failed,
    Fork,
    StepFlow,
    StepsFlow,
    StrandRequest,
)
from pipeline_engine.language.document import MAX_ITEMS, MAX_ITERATIONS, Tolerance
from pipeline_engine.language.plan import StepPlan

LIST = ".foreach"
"""Suffix of the path of the entry that records the list of a loop."""
VARYING = frozenset({"now", "run", "step"})
"""Root names with other values after a wait, or in a retry of the run."""
RunSteps = Callable[[Strand, Sequence[StepPlan]], StepsFlow]
"""Runs a line of steps on a strand."""
RunIteration = Callable[[Strand, StepPlan, str], StepFlow]
"""Runs one iteration of a step under its path."""


@dataclass(slots=True)
class _Outputs:
    """The outputs of iterations or branches so far, and their size as JSON in bytes.

    Those of `failed` have failed, of which as many as `tolerated` are outputs too.
    """

    values: Any
    tolerated: float
    size: int = 0
    failed: set[int | str] = field(default_factory=set)

    def keep(self, key: int | str, value: Any) -> Failed | None:
        """Stores one output; Failed as soon as all together exceed the limit."""
        self.values[key] = value
        self.size += len(orjson.dumps(value))
        if self.size > MAX_JSON_BYTES:
            return Failed(_too_large(f"got at least {self.size} bytes"))
        return None

    def keep_failure(self, key: int | str, failure: Failure) -> Failed | None:
        """Stores a failure as an output; Failed, which ends the siblings, when too many have failed."""
        self.failed.add(key)
        if len(self.failed) <= self.tolerated:
            return self.keep(key, {"error": failure.to_dict()})
        counts = {"failed_iterations": len(self.failed)} if self.tolerated else {}
        return Failed(replace(failure, details={**failure.details, **counts}))


def _too_large(detail: str) -> Failure:
    return Failure(PAYLOAD_TOO_LARGE, f"the outputs of a block must be at most 1 MiB together ({detail})")


def run_group(strand: Strand, step: StepPlan, body: Sequence[StepPlan], path: str, run_steps: RunSteps) -> StepFlow:
    """Runs the body in order; the output of its last step is the output of the block."""
    inner = strand.inner(f"{path}.")
    end = yield from run_steps(inner, body)
    strand.continue_after(inner)
    if isinstance(end, Failed):
        return end.failure
    if end is None:
        strand.save(step, inner.last_output)
    return end


def run_branches(
    strand: Strand, step: StepPlan, branches: Mapping[str, Sequence[StepPlan]], path: str, run_steps: RunSteps
) -> StepFlow:
    """Runs the branches concurrently; the output is an object with the last output of each branch."""
    outputs = _Outputs(dict.fromkeys(branches), math.inf if _tolerates_any(step) else 0)
    names = list(branches)

    def branch(index: int) -> StepsFlow:
        name = names[index]
        inner = strand.inner(f"{path}.{name}.", steps=dict(strand.roots["steps"]))
        end = yield from run_steps(inner, branches[name])
        return _settle(step, end.failure if isinstance(end, Failed) else end, inner, outputs, name)

    return (yield from _run_concurrently(strand, step, path, outputs, Fork(len(names), len(names), branch)))


def run_loop(strand: Strand, step: StepPlan, path: str, run_iteration: RunIteration) -> StepFlow:
    """Runs the step once for each element; the output is the list of outputs in the order of the elements."""
    start_us = strand.run.now_us()
    elements = _elements(strand, step, path)
    if isinstance(elements, Failure):
        return strand.record_failure(Attempt(step, path, 1, start_us), elements)
    tolerance = Tolerance() if step.tolerate is None else step.tolerate
    tolerated = math.inf if _tolerates_any(step) else tolerance.of(len(elements))
    outputs = _Outputs([None] * len(elements), tolerated)
    chunks = Chunks(strand, path, len(elements))
    for index, output in chunks.recorded.items():
        outputs.keep(index, output)

    def iteration(place: int) -> StepsFlow:
        index = chunks.pending[place]
        yield from _make_room(strand, step)
        steps = dict(strand.roots["steps"])
        inner = strand.inner("", steps=steps, item=elements[index], index=index)
        result = yield from run_iteration(inner, step, f"{path}[{index}]")
        end = _settle(step, result, inner, outputs, index)
        if end is None:
            chunks.end(index, outputs.values, outputs.failed)
        return end

    fork = Fork(len(chunks.pending), step.max_parallel, iteration)
    return (yield from _run_concurrently(strand, step, path, outputs, fork))


def _make_room(strand: Strand, step: StepPlan) -> Generator[StrandRequest, Any, None]:
    """Pauses before an iteration when expressions have used their share, or when results are to be made durable.

    Iterations do not wait for each other's results. Without a limit, a crash would repeat all iterations that ended
    since the last commit; with it, at most twice `max_parallel`.
    """
    journal = strand.run.journal
    if strand.run.account.should_yield:
        yield Sleep(0.0)
    if journal.is_large:
        yield AwaitDurable(journal.added)
    if journal.last_barrier - journal.durable >= step.max_parallel:
        yield AwaitDurable(journal.last_barrier)


def _settle(
    step: StepPlan, result: Failure | Exit | None, inner: Strand, outputs: _Outputs, key: int | str
) -> Exit | None:
    """Stores one output. A tolerated failure is an output too; otherwise it ends the siblings."""
    if isinstance(result, Failure):
        return outputs.keep_failure(key, result)
    return result if result is not None else outputs.keep(key, inner.last_output)


def _tolerates_any(step: StepPlan) -> bool:
    """Whether each failure of an iteration or branch is an output: with `tolerate`, `on_error` is that of the loop."""
    return step.on_error == "continue" and step.tolerate is None


def _run_concurrently(strand: Strand, step: StepPlan, path: str, outputs: _Outputs, fork: Fork) -> StepFlow:
    attempt = Attempt(step, path, 1, strand.run.now_us())
    end = yield fork
    strand.join(path)
    if isinstance(end, Failed):
        return strand.record_failure(attempt, end.failure)
    if end is not None:
        return end  # type: ignore[return-value]  # the response to a Fork is an Exit or None
    try:
        body = write(outputs.values)
    except PayloadError as error:
        return strand.record_failure(attempt, _too_large(str(error)))
    limited = strand.limited(body)
    if isinstance(limited, Failure):
        return strand.record_failure(attempt, limited)
    strand.record_joined(attempt, body, outputs.values)
    return None


def _elements(strand: Strand, step: StepPlan, path: str) -> list[Any] | Failure:
    """Returns the elements of a loop: the recorded list, or else the rendered one, within the limits of fan-out."""
    if step.foreach is None:
        raise AssertionError("a loop has elements")
    recorded = strand.run.journal.recorded.get(path + LIST)
    try:
        elements = orjson.loads(recorded.output) if recorded else step.foreach.render(strand.roots, strand.run.account)
    except ExpressionError as error:
        return expression_failure(error)
    if type(elements) is not list:
        return Failure(EXPRESSION, f"`foreach` must evaluate to a list, not {kind_of(elements)}")
    strand.run.iterations += len(elements)
    if len(elements) > MAX_ITEMS:
        return Failure(FAN_OUT_LIMIT, f"a loop must have at most {MAX_ITEMS} elements (got {len(elements)})")
    if strand.run.iterations > MAX_ITERATIONS:
        message = f"the loops of a run must have at most {MAX_ITERATIONS} iterations together"
        return Failure(FAN_OUT_LIMIT, f"{message} (got {strand.run.iterations})")
    if recorded is None and any(VARYING & expression.names for expression in step.foreach.expressions):
        return _record_list(strand, path, elements)
    return elements


def _record_list(strand: Strand, path: str, elements: list[Any]) -> list[Any] | Failure:
    """Records a list that would be rendered differently in a later segment: a loop continues with its first list."""
    try:
        body = write(elements)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else EXPRESSION, f"the elements of the loop: {error}")
    now_us = strand.run.now_us()
    entry = JournalEntry(path=path + LIST, attempt=1, state=SUCCEEDED, output=body, start_us=now_us, end_us=now_us)
    strand.run.journal.add(entry, barrier=False)
    return elements
