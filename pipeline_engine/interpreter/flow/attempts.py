"""The attempts of a step: pure steps once, steps with effects until they succeed or their retries are used up."""

from collections.abc import Mapping
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import DENIED, TOOL_ERROR, Failure
from pipeline_engine.interpreter.flow.accepted_calls import await_result, location_of
from pipeline_engine.interpreter.flow.unsafe_calls import run_unsafe
from pipeline_engine.interpreter.journal import RUNNING, SUCCEEDED
from pipeline_engine.interpreter.requests import Accepted, Call, Effect, Sleep
from pipeline_engine.interpreter.retry import is_repeated
from pipeline_engine.interpreter.step_values import Input, render_input
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import AwaitDurable, StepFlow, Stopped
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.tools.definition import Kind


def run_pure(strand: Strand, step: StepPlan, path: str) -> Failure | Stopped | None:
    """Runs a step without effects outside the run; it does not yield requests."""
    attempt = strand.begin(step, path, 1)
    if step.kind in {Kind.DENIED, Kind.UNKNOWN}:
        return strand.record_failure(attempt, _uncallable(step))
    rendered = render_input(step, strand.roots, strand.run.account)
    if isinstance(rendered, Failure):
        return strand.record_failure(attempt, rendered)
    attempt.input, value = rendered, rendered.value
    if step.kind is Kind.FAIL:
        return _fail(strand, attempt, value)
    if step.kind is Kind.STOP:
        output = orjson.dumps(value.get("output"))
        strand.record_success(attempt, output, value.get("output"))
        return Stopped(output)
    limited = strand.limited(rendered.body)
    if isinstance(limited, Failure):
        attempt.input = None
        return strand.record_failure(attempt, limited)
    strand.record_success(attempt, limited, value)
    return None


def _fail(strand: Strand, attempt: Attempt, value: Mapping[str, Any]) -> Failure:
    failure = Failure(value["code"], value["message"], details=value.get("details") or {})
    repeated = is_repeated(failure, attempt.step.retry, attempt.number)
    return strand.record_failure(attempt, failure, repeated=repeated)


def _uncallable(step: StepPlan) -> Failure:
    if step.kind is Kind.DENIED:
        return Failure(DENIED, f"the task's owner is not allowed to call {step.uses}")
    return Failure(TOOL_ERROR, f"unknown tool {step.uses}")


def run_attempts(strand: Strand, step: StepPlan, path: str, number: int) -> StepFlow:
    """Runs a step with effects from the attempt `number` on, until it succeeds or fails finally.

    A step with effects starts only when every barrier before it is durable. Otherwise a crash could lose the record of
    an earlier step after a later one has acted on its output: the resumed run would repeat the earlier step, possibly
    with another result, and the later step would have happened on a history that never existed. Skipped steps, pure
    steps and repeated attempts are not barriers, because they are repeated with the same result or idempotency key;
    they are written together with the next barrier and do not cost a commit. The start of an UNSAFE call is made
    durable in any case, together with all earlier entries, so it does not wait here.
    """
    run = strand.run
    if run.is_closed and (expired := strand.expired(step, path, number)) is not None:
        return expired
    if number > 1 and (delay := _remaining_delay(strand, step, path, number - 1)) > 0:
        yield Sleep(delay)
    while True:
        yield from strand.await_hold(step.tool)
        if strand.barrier > run.journal.durable and step.kind is not Kind.UNSAFE:
            yield AwaitDurable(strand.barrier)
        expired = strand.expired(step, path, number)
        if expired is not None and not _has_started(strand, path, number):
            return expired
        failure = yield from _run_attempt(strand, strand.begin(step, path, number))
        if failure is None:
            return None
        if (expired := strand.expired(step, path, number)) is not None:
            return expired
        if type(failure) is not Failure or not is_repeated(failure, step.retry, failure.attempt):
            return failure
        number = failure.attempt  # higher than before if a person had an UNSAFE call repeated
        yield Sleep(strand.retry_delay(step, path, number, failure.retry_after))
        number += 1


def _has_started(strand: Strand, path: str, number: int) -> bool:
    """Whether an earlier segment started this call of an UNSAFE tool: what is known of its outcome is recorded."""
    recorded = strand.run.journal.recorded.get(path)
    return recorded is not None and recorded.state == RUNNING and recorded.attempt == number


def _remaining_delay(strand: Strand, step: StepPlan, path: str, number: int) -> float:
    """Returns what remains of the delay after an attempt that an earlier segment has recorded."""
    entry = strand.run.journal.recorded[path]
    if entry.state == RUNNING:  # the attempt after the delay has already started
        return 0.0
    next_us = Failure.from_json(entry.error).next_attempt_us()
    if next_us is not None:
        return max(0.0, min((next_us - strand.run.now_us()) / 1_000_000, strand.run.remaining()))
    passed = (strand.run.now_us() - entry.end_us) / 1_000_000
    return max(0.0, strand.retry_delay(step, path, number) - max(0.0, passed))


def _run_attempt(strand: Strand, attempt: Attempt) -> StepFlow:
    step = attempt.step
    if step.kind is Kind.UNSAFE:
        return (yield from run_unsafe(strand, attempt))
    rendered = strand.input_of(step, attempt.path)
    if isinstance(rendered, Input) and rendered.unchecked is not None:
        rendered = yield from strand.input_after_check(rendered)
    if isinstance(rendered, Failure):
        return strand.record_failure(attempt, rendered)
    attempt.input = rendered
    if step.kind is Kind.FAIL:
        return _fail(strand, attempt, rendered.value)
    if step.kind is Kind.EFFECT:
        return (yield from _apply_effect(strand, attempt))
    if step.tool is None:
        raise AssertionError("a step with effects has a tool")
    timeout = min(step.timeout, strand.run.remaining())
    key = idempotency_key(strand.run.root, attempt.path)
    location = location_of(strand, attempt) if strand.run.journal.accepted else ""
    call = Call(
        step.tool, rendered.value, rendered.body, key, timeout, attempt.path, attempt.number, step.secrets, location
    )
    response = yield call
    if location or type(response) is Accepted:
        response = yield from await_result(strand, attempt, call, response)
    if step.check_output is None:
        return strand.record_response(attempt, response)
    return strand.record_response(attempt, (yield from strand.output_after_check(step, response)))


def _apply_effect(strand: Strand, attempt: Attempt) -> StepFlow:
    """Runs a step on Ordinaut's own stores; the worker records its entry in the transaction that applies it."""
    step, path = attempt.step, attempt.path
    limited = strand.limited(b"")
    if isinstance(limited, Failure):
        return strand.record_failure(attempt, limited)
    entry = JournalEntry(
        path=path, attempt=attempt.number, tool=step.uses, input=attempt.body, start_us=attempt.start_us
    )
    response = yield Effect(entry, idempotency_key(strand.run.root, path))
    if not isinstance(response, JournalEntry):
        raise TypeError("the response to an effect must be its journal entry")
    if response.state != SUCCEEDED:
        return Failure.from_json(response.error).at(path, step.uses, attempt.number)
    strand.run.journal.output_bytes += len(response.output)
    strand.save(step, orjson.loads(response.output) if response.output else None)
    return None
