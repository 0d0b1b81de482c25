"""Calls of UNSAFE tools: each start is recorded before its request is sent, so that a crash cannot hide a call.

The order is: make the RUNNING entry durable, send the request, record the end. An engine that takes the run over after
a crash sees a RUNNING entry without an end and knows that the call may have happened. Without this entry it would see
no trace of the call and would repeat it. A call that may have happened is repeated only after a verdict that it did not
happen, or when a person decides so.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import OUTCOME_UNKNOWN, Failure
from pipeline_engine.interpreter.flow.accepted_calls import await_result, location_of
from pipeline_engine.interpreter.flow.unknown_outcome import NotHappened, determine_outcome, is_answered_by_repeat
from pipeline_engine.interpreter.journal import RUNNING
from pipeline_engine.interpreter.requests import Accepted, Call
from pipeline_engine.interpreter.retry import is_repeated
from pipeline_engine.interpreter.step_values import Input
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import AwaitDurable, StepFlow, StrandRequest
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind

LOST = "its engine or worker was lost before the answer was recorded"


def interrupted_attempt(strand: Strand, step: StepPlan, entry: JournalEntry) -> int | Failure:
    """Returns the number of an attempt that an earlier segment started; a failure if the tool cannot be called now."""
    if step.kind not in {Kind.UNKNOWN, Kind.DENIED}:
        return entry.attempt
    failure = Failure(OUTCOME_UNKNOWN, f"{LOST}, and {step.uses} cannot be called any more")
    return strand.record_failure(_recorded(step, entry), failure)


def run_unsafe(strand: Strand, attempt: Attempt) -> StepFlow:
    """Runs one attempt; for one that an earlier segment started, its outcome is determined first."""
    entry = strand.run.journal.recorded.get(attempt.path)
    if entry is None or entry.state != RUNNING or entry.attempt != attempt.number:
        rendered = strand.input_of(attempt.step, attempt.path)
        if isinstance(rendered, Input):
            rendered = yield from strand.input_after_check(rendered)
        if isinstance(rendered, Failure):
            return strand.record_failure(attempt, rendered)
        attempt.input = rendered
        return (yield from _start_and_call(strand, attempt))
    started = _recorded(attempt.step, entry)
    if entry.output:  # the tool has accepted the call: its result is polled
        return (yield from _call(strand, started))
    verdict = yield from determine_outcome(strand, started, LOST)
    if isinstance(verdict, NotHappened):
        return (yield from _call(strand, started))
    return (yield from _finish(strand, started, verdict))


def _recorded(step: StepPlan, entry: JournalEntry) -> Attempt:
    recorded_input = Input(orjson.loads(entry.input), entry.input)
    return Attempt(step, entry.path, entry.attempt, entry.start_us, recorded_input)


def _start_and_call(strand: Strand, attempt: Attempt) -> StepFlow:
    yield from _record_start(strand, attempt)
    return (yield from _call(strand, attempt))


def _record_start(strand: Strand, attempt: Attempt) -> Generator[StrandRequest, Any, None]:
    """Makes the start durable, together with every earlier entry."""
    entry = JournalEntry(
        path=attempt.path,
        attempt=attempt.number,
        state=RUNNING,
        tool=attempt.step.uses,
        input=attempt.body,
        start_us=attempt.start_us,
        end_us=attempt.start_us,
    )
    strand.record(entry)
    try:
        yield AwaitDurable(strand.barrier)
    except GeneratorExit:  # a sibling has failed: a start that was not sent yet must not look like a call
        strand.run.journal.withdraw(entry)
        raise


def _call(strand: Strand, attempt: Attempt) -> StepFlow:
    tool, arguments = attempt.step.tool, attempt.input
    if tool is None or arguments is None:
        raise AssertionError("a call has a tool and an input")
    timeout = min(attempt.step.timeout, strand.run.remaining())
    key = idempotency_key(strand.run.root, attempt.path)
    location = location_of(strand, attempt) if strand.run.journal.accepted else ""
    call = Call(
        tool,
        arguments.value,
        arguments.body,
        key,
        timeout,
        attempt.path,
        attempt.number,
        attempt.step.secrets,
        location,
    )
    response: object = yield call
    if location or isinstance(response, Accepted):
        response = yield from await_result(strand, attempt, call, response)
    # The tool's own retry codes state that such a failure changes nothing, so these do not need a verdict.
    harmless_codes = tool.retry.codes if tool.retry else ()
    if isinstance(response, Failure) and response.may_have_happened and response.code not in harmless_codes:
        verdict = yield from determine_outcome(strand, attempt, response.message)
        response = response.with_known_outcome(happened=False) if isinstance(verdict, NotHappened) else verdict
    return (yield from _finish(strand, attempt, response))


def _finish(strand: Strand, attempt: Attempt, response: object) -> StepFlow:
    """Records the end of the attempt; starts another one at once if a person has decided so."""
    response = yield from strand.output_after_check(attempt.step, response)
    failure = strand.record_response(attempt, response)
    if failure is None:
        return None
    if is_answered_by_repeat(failure) and strand.run.overdue() is None:
        number = attempt.number + 1
        start_us = strand.run.attempt_start_us(attempt.path, number)
        return (yield from _start_and_call(strand, replace(attempt, number=number, start_us=start_us)))
    if is_repeated(failure, attempt.step.retry, attempt.number):
        # A crash during the retry delay must find the end of this attempt, or its outcome would seem unknown again.
        yield AwaitDurable(strand.run.journal.added)
    return failure
