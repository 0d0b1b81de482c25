"""What became of a call whose answer is lost: the tool's lookup tells, else a person, who may take a week."""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import OUTCOME_UNKNOWN, TOOL_UNAVAILABLE, VALIDATION_OUTPUT, Failure
from pipeline_engine.interpreter.approval import subject_hash
from pipeline_engine.interpreter.journal import WAITING
from pipeline_engine.interpreter.requests import Call, Output, Sleep
from pipeline_engine.interpreter.retry import MAX_DELAY_IN_ENGINE_SECONDS, delay_seconds, is_repeated
from pipeline_engine.interpreter.signals import Wish
from pipeline_engine.interpreter.step_values import Input, render_input
from pipeline_engine.language.approval import APPROVAL
from pipeline_engine.language.plan import StepPlan

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

PATIENCE = timedelta(days=7)
"""How long a person has to tell."""
HAPPENED, REPEAT, FAIL = "happened", "repeat", "fail"


@dataclass(frozen=True, slots=True)
class Begun:
    """A call whose start is recorded: one attempt of a step, with what it gets."""

    step: StepPlan
    path: str
    attempt: int
    start_us: int
    input: Input

    @property
    def question(self) -> str:
        """The path of the wait for a person who tells what became of this attempt."""
        return f"{self.path}?attempt-{self.attempt}"


@dataclass(frozen=True, slots=True)
class NotHappened:
    """The call did not happen, and will not."""


Verdict = Output | NotHappened | Failure
"""The call gave this output; it did not happen; it cannot be told, though somebody may want it repeated."""
Finding = Generator[Wish, Any, Verdict]


def find_out(strand: "Strand", begun: Begun, why: str) -> Finding:
    """What became of a call; `why` tells how its answer was lost. Asking a person ends the run's stay."""
    asked = strand.run.journal.waits.get(begun.question)
    if asked is None:
        verdict = yield from _looked_up(strand, begun, why)
        if not isinstance(verdict, Failure) or strand.run.remaining() <= 0:
            return verdict
        yield _question(begun, verdict)
    elif asked.state == WAITING:
        yield Wait(path=begun.question)
    else:
        return _read_answer(asked)
    raise AssertionError("a run that waits goes on in another stay")


def _looked_up(strand: "Strand", begun: Begun, why: str) -> Finding:
    lookup = begun.step.lookup
    if lookup is None:
        return _unknown(why, f"{begun.step.uses} has no lookup that could be called")
    roots = {
        "input": begun.input.value,
        "idempotency_key": idempotency_key(strand.run.root, begun.path),
        "step": begun.path,
        "start_time": timestamp_of_us(begun.start_us),
    }
    found = render_input(lookup, roots, strand.run.account)
    verdict = found if isinstance(found, Failure) else (yield from _look_up(strand, lookup, found, begun.path))
    return _unknown(why, f"{lookup.uses}: {verdict.message}", verdict) if isinstance(verdict, Failure) else verdict


def _unknown(why: str, but: str, lookup: Failure | None = None) -> Failure:
    details: dict[str, Any] = {"lookup": lookup.to_dict()} if lookup else {}
    return Failure(OUTCOME_UNKNOWN, f"the call may have happened: {why}; {but}", details=details)


def _look_up(strand: "Strand", lookup: StepPlan, found: Input, path: str) -> Finding:
    """Calls the lookup until it tells, at most as often as its retry says; never longer than the run may take."""
    if lookup.tool is None:
        raise AssertionError("a lookup has a tool")
    path = f"{path}?lookup"
    key = idempotency_key(strand.run.root, path)
    number = 1
    while (left := strand.run.remaining()) > 0:
        timeout = min(lookup.timeout, left)
        answer = yield Call(lookup.tool, found.value, found.body, key, timeout, path, number, lookup.secrets)
        verdict = answer if isinstance(answer, Failure) else read_verdict(answer.value)
        if not isinstance(verdict, Failure) or not is_repeated(verdict, lookup.retry, number):
            return verdict
        delay = delay_seconds(lookup.retry, number, key, strand.run.fraction)
        yield Sleep(min(delay, MAX_DELAY_IN_ENGINE_SECONDS))
        number += 1
    return Failure(TOOL_UNAVAILABLE, "the run has no time left to ask")


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


def _question(begun: Begun, unknown: Failure) -> Wait:
    """Asks who may see the run; its owner may answer, because this approves of nothing."""
    message = (
        f"{begun.step.uses}: {unknown.message[:2000]}. Answer `{HAPPENED}`, with its output as `input`, "
        f"`{REPEAT}` to call it again, or `{FAIL}`."
    )
    question = {
        "message": message,
        "data": begun.input.value,
        "choices": [HAPPENED, REPEAT, FAIL],
        "allow_self": True,
    }
    return Wait(
        path=begun.question,
        kind="APPROVAL",
        tool=APPROVAL,
        input=orjson.dumps(question),
        guarded_tool=begun.step.uses,
        subject_hash=subject_hash(begun.input.value),
        deadline_ms=PATIENCE // timedelta(milliseconds=1),
    )


def _read_answer(asked: JournalEntry) -> Verdict:
    answer = orjson.loads(asked.output)
    choice, agent = answer.get("choice"), answer.get("agent")
    if choice == HAPPENED:
        return Output(answer.get("input"))
    says = f"{agent} says `{choice}`" if agent else "nobody has told in time"
    comment = f": {answer['comment']}" if answer.get("comment") else ""
    details = {"approval": answer.get("approval"), **({"choice": choice, "agent": agent} if agent else {})}
    return Failure(OUTCOME_UNKNOWN, f"the call may have happened; {says}{comment}", details=details)


def is_answered_by_repeat(failure: Failure) -> bool:
    """Whether somebody wants the call to be made again, whatever became of it."""
    return failure.code == OUTCOME_UNKNOWN and failure.details.get("choice") == REPEAT
