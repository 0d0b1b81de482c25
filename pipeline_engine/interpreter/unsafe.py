"""Calls of UNSAFE tools: each start is recorded before its request is sent, so that a crash cannot hide a call.

A call that may have happened is made again only once it is known that it did not.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.expressions.times import moment_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from ordinaut.names import idempotency_key
from pipeline_engine.attempt import Input, render_input
from pipeline_engine.failure import OUTCOME_UNKNOWN, TIMEOUT, TOOL_UNAVAILABLE, VALIDATION_OUTPUT, Failure
from pipeline_engine.interpreter.signals import Attempt, Until, Wish
from pipeline_engine.journal import RUNNING
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.requests import Call, Output, Sleep
from pipeline_engine.retry import MAX_DELAY_IN_ENGINE_SECONDS, delay_seconds, is_repeated
from pipeline_engine.tools.definition import Kind

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

LOST = "its engine or worker was lost before the answer was recorded"


@dataclass(frozen=True, slots=True)
class Begun:
    """A call whose start is recorded: one attempt of a step, with what it gets."""

    step: StepPlan
    path: str
    attempt: int
    start_us: int
    input: Input


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The call did not happen, and will not."""


Verdict = Output | NotHappened | Failure
"""What is found out about a call: it gave this output; it did not happen; it cannot be told."""


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
        begun = Begun(step, path, number, start_us, found)
        yield from _begin(strand, begun)
        return (yield from _call(strand, begun))
    begun = Begun(step, path, number, recorded.start_us, _recorded_input(recorded))
    verdict = yield from _find_out(strand, begun, LOST)
    return (yield from _call(strand, begun)) if isinstance(verdict, NotHappened) else _end(strand, begun, verdict)


def _recorded_input(recorded: JournalEntry) -> Input:
    return Input(orjson.loads(recorded.input), recorded.input)


def _begin(strand: "Strand", begun: Begun) -> Generator[Wish, Any, None]:
    """Makes the start durable, and everything before it."""
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
    yield Until(strand.mark)


def _call(strand: "Strand", begun: Begun) -> Attempt:
    tool = begun.step.tool
    if tool is None:
        raise AssertionError("a step with effects has a tool")
    timeout = min(begun.step.timeout, strand.run.remaining())
    key = _key(strand, begun)
    answer = yield Call(tool, begun.input.value, begun.input.body, key, timeout, begun.path, begun.attempt)
    harmless = tool.retry.codes if tool.retry else ()
    if isinstance(answer, Failure) and answer.unclear and answer.code not in harmless:
        verdict = yield from _find_out(strand, begun, answer.message)
        answer = _known(answer) if isinstance(verdict, NotHappened) else verdict
    failure = _end(strand, begun, answer)
    if failure is not None and is_repeated(failure, begun.step.retry, begun.attempt):
        yield Until(strand.run.journal.added)  # else a crash during the delay would leave this attempt unclear
    return failure


def _known(failure: Failure) -> Failure:
    """The failure of a call that is known not to have happened."""
    return replace(failure, unclear=False, details={**failure.details, "happened": False})


def _end(strand: "Strand", begun: Begun, answer: object) -> Failure | None:
    return strand.conclude(begun.step, begun.path, begun.attempt, begun.start_us, begun.input.body, answer)


def _key(strand: "Strand", begun: Begun) -> str:
    return idempotency_key(strand.run.root, begun.path)


def _find_out(strand: "Strand", begun: Begun, why: str) -> Generator[Wish, Any, Verdict]:
    """Asks the tool's lookup; `why` tells how the answer was lost."""
    lookup = begun.step.lookup
    if lookup is None:
        return _unknown(why, f"{begun.step.uses} has no lookup that could be called")
    roots: dict[str, Any] = {
        "input": begun.input.value,
        "idempotency_key": _key(strand, begun),
        "step": begun.path,
        "start_time": moment_of_us(begun.start_us),
    }
    found = render_input(lookup, roots, strand.run.account)
    verdict = found if isinstance(found, Failure) else (yield from _look_up(strand, lookup, found, begun.path))
    return _unknown(why, f"{lookup.uses}: {verdict.message}", verdict) if isinstance(verdict, Failure) else verdict


def _unknown(why: str, but: str, lookup: Failure | None = None) -> Failure:
    details: dict[str, Any] = {"lookup": lookup.to_dict()} if lookup else {}
    return Failure(OUTCOME_UNKNOWN, f"the call may have happened: {why}; {but}", details=details)


def _look_up(strand: "Strand", lookup: StepPlan, found: Input, path: str) -> Generator[Wish, Any, Verdict]:
    """Calls the lookup until it tells, at most as often as its retry says; never longer than the run may take."""
    if lookup.tool is None:
        raise AssertionError("a lookup has a tool")
    path = f"{path}?lookup"
    key = idempotency_key(strand.run.root, path)
    number = 1
    while True:
        left = strand.run.remaining()
        if left <= 0:
            return Failure(TIMEOUT, "the run has no time left to ask")
        answer = yield Call(lookup.tool, found.value, found.body, key, min(lookup.timeout, left), path, number)
        verdict = answer if isinstance(answer, Failure) else read_verdict(answer.value)
        if not isinstance(verdict, Failure) or not is_repeated(verdict, lookup.retry, number):
            return verdict
        delay = delay_seconds(lookup.retry, number, key, strand.run.fraction)
        yield Sleep(min(delay, MAX_DELAY_IN_ENGINE_SECONDS))
        number += 1


def read_verdict(answer: Any) -> Verdict:
    """What a lookup's answer `{happened, output}` means."""
    happened = answer.get("happened", "") if isinstance(answer, dict) else ""
    if happened is True:
        return Output(answer.get("output"))
    if happened is False:
        return NotHappened()
    if happened is None:
        return Failure(TOOL_UNAVAILABLE, "it cannot tell yet", retryable=True)
    return Failure(VALIDATION_OUTPUT, "the answer is no object with `happened`: true, false or null")
