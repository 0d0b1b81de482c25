"""Steps that hold steps: `do` one after the other, `branches` and `foreach` side by side.

What goes on side by side gets an entry of its own once it is joined, so that a resumed run knows how it ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.limits import MAX_JSON_BYTES
from pipeline_engine.data.failure import EXPRESSION, FAN_OUT_LIMIT, PAYLOAD_TOO_LARGE, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.interpreter.journal import SUCCEEDED
from pipeline_engine.interpreter.requests import Sleep
from pipeline_engine.interpreter.run import MAX_ITERATIONS
from pipeline_engine.interpreter.signals import Attempt, Failed, Fork, Signal, Steps, Until
from pipeline_engine.interpreter.step_values import expression_failure
from pipeline_engine.language.document import MAX_ITEMS
from pipeline_engine.language.plan import StepPlan

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

LIST = ".foreach"
"""Ends the path of the entry that keeps a loop's list."""
UNSTEADY = frozenset({"now", "run", "step"})
"""What has another value after a wait, or in a retry of the run."""
KINDS = {dict: "an object", str: "a text", bool: "true or false", int: "a number", float: "a number"}


@dataclass(slots=True)
class _Outputs:
    """What iterations or branches have given so far, and how many bytes that is as JSON."""

    values: Any
    size: int = 0

    def keep(self, place: int | str, value: Any) -> Failed | None:
        """Puts one output in its place; Failed as soon as all together are too large."""
        self.values[place] = value
        self.size += len(orjson.dumps(value))
        if self.size > MAX_JSON_BYTES:
            return Failed(Failure(PAYLOAD_TOO_LARGE, "the outputs together are larger than 1 MiB"))
        return None


def group(strand: "Strand", step: StepPlan, body: Sequence[StepPlan], path: str) -> Attempt:
    """Runs the body in its order; its last output is the step's."""
    inner = strand.inside(f"{path}.")
    signal = yield from inner.sequence(body)
    strand.mark, strand.heard = inner.mark, inner.heard
    if isinstance(signal, Failed):
        return signal.failure
    if signal is None:
        strand.save(step, inner.last)
    return signal


def fork(strand: "Strand", step: StepPlan, branches: Mapping[str, Sequence[StepPlan]], path: str) -> Attempt:
    """Runs the branches side by side; the output has the last output of each under its name."""
    outputs = _Outputs(dict.fromkeys(branches))
    names = list(branches)

    def branch(index: int) -> Steps:
        name = names[index]
        inner = strand.inside(f"{path}.{name}.", steps=dict(strand.roots["steps"]))
        signal = yield from inner.sequence(branches[name])
        return _settle(step, signal.failure if isinstance(signal, Failed) else signal, inner, outputs, name)

    return (yield from _spread(strand, step, path, outputs, Fork(len(names), len(names), branch)))


def loop(strand: "Strand", step: StepPlan, path: str) -> Attempt:
    """Runs the step once for each element; the output is the list of the outputs, in the order of the elements."""
    start_us = strand.run.now_us()
    elements = _elements(strand, step, path)
    if isinstance(elements, Failure):
        return strand.record_failure(step, path, 1, start_us, b"", elements, repeated=False)
    outputs = _Outputs([None] * len(elements))

    def iteration(index: int) -> Steps:
        if strand.run.account.should_yield:
            yield Sleep(0.0)
        if strand.run.journal.is_large:
            yield Until(strand.run.journal.added)
        steps = dict(strand.roots["steps"])
        inner = strand.inside("", steps=steps, item=elements[index], index=index)
        inner.heard = strand.run.heard  # one after the other, each waits for an event of its own
        result = yield from inner.repeat(step, f"{path}[{index}]")
        return _settle(step, result, inner, outputs, index)

    return (yield from _spread(strand, step, path, outputs, Fork(len(elements), step.max_parallel, iteration)))


def _settle(
    step: StepPlan, result: Failure | Signal | None, inner: "Strand", outputs: _Outputs, place: int | str
) -> Signal | None:
    """Keeps one output; a failure is one too under `on_error: continue`, and otherwise ends the others."""
    if isinstance(result, Failure):
        if step.on_error != "continue":
            return Failed(result)
        return outputs.keep(place, {"error": result.to_dict()})
    return result if result is not None else outputs.keep(place, inner.last)


def _spread(strand: "Strand", step: StepPlan, path: str, outputs: _Outputs, wish: Fork) -> Attempt:
    start_us = strand.run.now_us()
    signal = yield wish
    strand.mark, strand.heard = strand.run.journal.last_mark, strand.run.heard
    if isinstance(signal, Failed):
        return strand.record_failure(step, path, 1, start_us, b"", signal.failure, repeated=False)
    if signal is not None:
        return signal  # type: ignore[return-value]  # a fork is answered with a signal
    try:
        body = write(outputs.values)
    except PayloadError as error:
        failure = Failure(PAYLOAD_TOO_LARGE, f"the outputs together: {error}")
        return strand.record_failure(step, path, 1, start_us, b"", failure, repeated=False)
    room = strand.room_for(body)
    if isinstance(room, Failure):
        return strand.record_failure(step, path, 1, start_us, b"", room, repeated=False)
    strand.record_joined(step, path, start_us, body, outputs.values)
    return None


def _elements(strand: "Strand", step: StepPlan, path: str) -> list[Any] | Failure:
    if step.foreach is None:
        raise AssertionError("a loop has elements")
    recorded = strand.run.journal.past.get(path + LIST)
    try:
        found = orjson.loads(recorded.output) if recorded else step.foreach.render(strand.roots, strand.run.account)
    except ExpressionError as error:
        return expression_failure(error)
    if type(found) is not list:
        return Failure(EXPRESSION, f"`foreach` takes a list, and this is {KINDS.get(type(found), 'null')}")
    strand.run.iterations += len(found)
    if len(found) > MAX_ITEMS:
        return Failure(FAN_OUT_LIMIT, f"a loop has at most {MAX_ITEMS} elements, and these are {len(found)}")
    if strand.run.iterations > MAX_ITERATIONS:
        return Failure(FAN_OUT_LIMIT, f"the loops of a run have at most {MAX_ITERATIONS} iterations together")
    if recorded is None and any(UNSTEADY & expression.names for expression in step.foreach.expressions):
        return _recorded(strand, path, found)
    return found


def _recorded(strand: "Strand", path: str, elements: list[Any]) -> list[Any] | Failure:
    """Has a list in the journal that would be another one later: what is begun goes on with it."""
    try:
        body = write(elements)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else EXPRESSION, f"the elements: {error}")
    now_us = strand.run.now_us()
    entry = JournalEntry(path=path + LIST, attempt=1, state=SUCCEEDED, output=body, start_us=now_us, end_us=now_us)
    strand.run.journal.add(entry, durable_first=False)
    return elements
