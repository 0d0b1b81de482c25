"""Determines whether a call with a lost response happened: by the tool's lookup, else by asking a person.

A lost response proves nothing: the tool may have sent the mail before the connection broke. Repeating the call might
send it twice, and failing the step might hide that it was sent. So neither is done without a verdict. The lookup is a
READ tool and can be repeated; if it cannot tell, the run suspends with an approval, and a person decides within a week.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.names import idempotency_key
from pipeline_engine.data.approval_answer import subject_hash
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.failure import OUTCOME_UNKNOWN, TOOL_UNAVAILABLE, VALIDATION_OUTPUT, Failure
from pipeline_engine.interpreter.journal import WAITING
from pipeline_engine.interpreter.requests import Call, Output, Sleep
from pipeline_engine.interpreter.retry import MAX_DELAY_IN_ENGINE_SECONDS, delay_seconds, is_repeated
from pipeline_engine.interpreter.step_values import Input, render_input
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import StrandRequest
from pipeline_engine.language.approval import APPROVAL
from pipeline_engine.language.plan import StepPlan

ANSWER_TIMEOUT = timedelta(days=7)
"""Time that a person has to decide."""
HAPPENED, REPEAT, FAIL = "happened", "repeat", "fail"
CHOSE = "chose"
"""Joins the agent and its choice in a failure's message; a replay finds the comment after it."""


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The call did not happen, and will not happen later either."""


Verdict = Output | NotHappened | Failure
"""The output of the call; or it did not happen; or its outcome stays unknown, with the decision of a person if any."""
VerdictFlow = Generator[StrandRequest, Any, Verdict]


def determine_outcome(strand: Strand, attempt: Attempt, reason: str) -> VerdictFlow:
    """Returns the verdict on a call; `reason` describes how its response was lost. Asking a person ends the segment.

    In `finally`, and when the run's time is over, no person is asked.
    """
    path = question_path(attempt)
    question = strand.run.journal.waits.get(path)
    if question is None:
        verdict = yield from _consult_lookup(strand, attempt, reason)
        if not isinstance(verdict, Failure) or strand.run.is_finishing or strand.run.overdue() is not None:
            return verdict
        yield _question(attempt, verdict)
    elif question.state == WAITING:
        if (overdue := strand.run.overdue()) is not None:
            return _unknown(reason, f"the question about it was not answered: {overdue.message}")
        yield Wait(path=path)
    else:
        return _read_answer(question)
    raise AssertionError("a suspended run resumes in another segment")


def question_path(attempt: Attempt) -> str:
    """Returns the path of the wait in which a person decides about an attempt."""
    return f"{attempt.path}?attempt-{attempt.number}"


def _consult_lookup(strand: Strand, attempt: Attempt, reason: str) -> VerdictFlow:
    lookup = attempt.step.lookup
    if lookup is None:
        return _unknown(reason, f"{attempt.step.uses} does not have a usable lookup")
    if attempt.input is None:
        raise AssertionError("a call has an input")
    roots = {
        "input": attempt.input.value,
        "idempotency_key": idempotency_key(strand.run.root, attempt.path),
        "step": attempt.path,
        "start_time": timestamp_of_us(attempt.start_us),
    }
    arguments = render_input(lookup, roots, strand.run.account)
    if isinstance(arguments, Input):
        arguments = yield from strand.input_after_check(arguments)
    if isinstance(arguments, Failure):
        verdict: Verdict = arguments
    else:
        verdict = yield from _call_lookup(strand, lookup, arguments, f"{attempt.path}?lookup")
    return _unknown(reason, f"{lookup.uses}: {verdict.message}", verdict) if isinstance(verdict, Failure) else verdict


def _unknown(reason: str, obstacle: str, lookup: Failure | None = None) -> Failure:
    details: dict[str, Any] = {"lookup": lookup.to_dict()} if lookup else {}
    return Failure(OUTCOME_UNKNOWN, f"the call may have happened: {reason}; {obstacle}", details=details)


def _call_lookup(strand: Strand, lookup: StepPlan, arguments: Input, path: str) -> VerdictFlow:
    """Calls the lookup until it gives a verdict, its retries are used up or the run's time is over."""
    if lookup.tool is None:
        raise AssertionError("a lookup has a tool")
    key = idempotency_key(strand.run.root, path)
    number = 1
    while True:
        yield from strand.await_hold(lookup.tool)
        if (overdue := strand.run.overdue()) is not None:
            return Failure(TOOL_UNAVAILABLE, f"the lookup gave no verdict: {overdue.message}")
        timeout = min(lookup.timeout, strand.run.remaining())
        response = yield Call(lookup.tool, arguments.value, arguments.body, key, timeout, path, number, lookup.secrets)
        verdict = response if isinstance(response, Failure) else read_verdict(response.value)
        if not isinstance(verdict, Failure) or not is_repeated(verdict, lookup.retry, number):
            return verdict
        delay = delay_seconds(lookup.retry, number, key, strand.run.fraction)
        # A longer wait that the tool asked for is served by `await_hold`, also by an engine that takes the run over.
        yield Sleep(min(delay, MAX_DELAY_IN_ENGINE_SECONDS))
        number += 1


def read_verdict(answer: Any) -> Verdict:
    """Interprets a lookup's answer `{happened, output}`."""
    if not isinstance(answer, dict):
        return Failure(VALIDATION_OUTPUT, f"the answer of a lookup must be an object, not {kind_of(answer)}")
    happened = answer.get("happened", "")
    if happened is True:
        return Output(answer.get("output"))
    if happened is False:
        return NotHappened()
    if happened is None:
        return Failure(TOOL_UNAVAILABLE, "the lookup cannot tell yet", retryable=True)
    return Failure(VALIDATION_OUTPUT, "`happened` in the answer of a lookup must be true, false or null")


def _question(attempt: Attempt, unknown: Failure) -> Wait:
    """Returns the approval that asks a person; the run's owner may answer, because nothing is authorised by it."""
    if attempt.input is None:
        raise AssertionError("a call has an input")
    message = (
        f"{attempt.step.uses}: {unknown.message[:2000]}. Answer `{HAPPENED}`, with its output as `input`, "
        f"`{REPEAT}` to call it again, or `{FAIL}`."
    )
    question = {
        "message": message,
        "data": attempt.input.value,
        "choices": [HAPPENED, REPEAT, FAIL],
        "allow_self": True,
    }
    return Wait(
        path=question_path(attempt),
        kind="APPROVAL",
        tool=APPROVAL,
        input=orjson.dumps(question),
        guarded_tool=attempt.step.uses,
        subject_hash=subject_hash(attempt.input.value),
        deadline_ms=ANSWER_TIMEOUT // timedelta(milliseconds=1),
    )


def _read_answer(question: JournalEntry) -> Verdict:
    answer = orjson.loads(question.output)
    choice, agent = answer.get("choice"), answer.get("agent")
    if choice == HAPPENED:
        return Output(answer.get("input"))
    decision = f"{agent} {CHOSE} `{choice}`" if agent else "the question was not answered in time"
    comment = f": {answer['comment']}" if answer.get("comment") else ""
    details = {"approval": answer.get("approval"), **({"choice": choice, "agent": agent} if agent else {})}
    return Failure(OUTCOME_UNKNOWN, f"the call may have happened; {decision}{comment}", details=details)


def comment_of(message: str) -> str:
    """Returns the comment of a person who chose to repeat the call, from the message of the failure."""
    return message.partition(f"{CHOSE} `{REPEAT}`: ")[2]


def is_answered_by_repeat(failure: Failure) -> bool:
    """Whether a person has decided that the call is to be made again, although it may have happened."""
    return failure.code == OUTCOME_UNKNOWN and failure.details.get("choice") == REPEAT
