"""Calls of UNSAFE tools: each start is recorded before its request is sent, so that a crash cannot hide a call.

A call that may have happened is made again only once it is known that it did not, or somebody says so.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import OUTCOME_UNKNOWN, Failure
from pipeline_engine.interpreter.flow.unknown_outcome import Begun, NotHappened, find_out, is_answered_by_repeat
from pipeline_engine.interpreter.journal import RUNNING
from pipeline_engine.interpreter.requests import Call
from pipeline_engine.interpreter.retry import is_repeated
from pipeline_engine.interpreter.step_values import Input
from pipeline_engine.interpreter.strand_protocol import Attempt, Until, Wish
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

LOST = "its engine or worker was lost before the answer was recorded"


def recall(strand: "Strand", step: StepPlan, recorded: JournalEntry) -> int | Failure:
    """The attempt to go on with that was begun in another stay; a failure where the tool cannot be called any more."""
    if step.kind not in {Kind.UNKNOWN, Kind.DENIED}:
        return recorded.attempt
    failure = Failure(OUTCOME_UNKNOWN, f"{LOST}, and {step.uses} cannot be called any more")
    return strand.record_failure(
        step, recorded.path, recorded.attempt, recorded.start_us, recorded.input, failure, repeated=False
    )


def attempt(strand: "Strand", step: StepPlan, path: str, number: int, start_us: int) -> Attempt:
    """One attempt; one that was begun in another stay of the run is first asked about."""
    recorded = strand.run.journal.past.get(path)
    if recorded is None or recorded.state != RUNNING or recorded.attempt != number:
        found = strand.input_of(step, path)
        if isinstance(found, Failure):
            return strand.record_failure(step, path, number, start_us, b"", found, repeated=False)
        return (yield from _make(strand, Begun(step, path, number, start_us, found)))
    recorded_input = Input(orjson.loads(recorded.input), recorded.input)
    begun = Begun(step, path, number, recorded.start_us, recorded_input)
    verdict = yield from find_out(strand, begun, LOST)
    if isinstance(verdict, NotHappened):
        return (yield from _call(strand, begun))
    return (yield from _end(strand, begun, verdict))


def _make(strand: "Strand", begun: Begun) -> Attempt:
    """Makes the start durable, and everything before it; then calls."""
    yield from _begin(strand, begun)
    return (yield from _call(strand, begun))


def _begin(strand: "Strand", begun: Begun) -> Generator[Wish, Any, None]:
    entry = JournalEntry(
        path=begun.path,
        attempt=begun.attempt,
        state=RUNNING,
        tool=begun.step.uses,
        input=begun.input.body,
        start_us=begun.start_us,
        end_us=begun.start_us,
    )
    strand.record(entry)
    try:
        yield Until(strand.mark)
    except GeneratorExit:  # a sibling has failed: what was not said yet need not be said
        strand.run.journal.withdraw(entry)
        raise


def _call(strand: "Strand", begun: Begun) -> Attempt:
    tool = begun.step.tool
    if tool is None:
        raise AssertionError("a step with effects has a tool")
    timeout = min(begun.step.timeout, strand.run.remaining())
    key, found = idempotency_key(strand.run.root, begun.path), begun.input
    call = Call(tool, found.value, found.body, key, timeout, begun.path, begun.attempt, begun.step.secrets)
    answer: object = yield call
    harmless = tool.retry.codes if tool.retry else ()
    if isinstance(answer, Failure) and answer.may_have_happened and answer.code not in harmless:
        verdict = yield from find_out(strand, begun, answer.message)
        answer = known(answer, happened=False) if isinstance(verdict, NotHappened) else verdict
    return (yield from _end(strand, begun, answer))


def _end(strand: "Strand", begun: Begun, answer: object) -> Attempt:
    """Notes what came of the attempt; begins another one at once where somebody wants that."""
    step, number = begun.step, begun.attempt
    failure = strand.conclude(step, begun.path, number, begun.start_us, begun.input.body, answer)
    if failure is None:
        return None
    if is_answered_by_repeat(failure):
        start_us = strand.run.begins_us(begun.path, number + 1)
        return (yield from _make(strand, replace(begun, attempt=number + 1, start_us=start_us)))
    if is_repeated(failure, step.retry, number):
        yield Until(strand.run.journal.added)  # else a crash during the delay would leave this attempt unclear
    return failure


def known(failure: Failure, *, happened: bool) -> Failure:
    """The failure of a call of which it is known whether it happened."""
    return replace(failure, may_have_happened=False, details={**failure.details, "happened": happened})
