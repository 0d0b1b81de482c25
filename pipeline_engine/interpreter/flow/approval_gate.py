"""`needs_approval`: a question before a step, about exactly the input that the step then gets.

The answer is an entry of the journal of its own, `<path>.approval`, before the step starts. Nothing is rendered after
it: what was approved is what is called with, also in another run that takes this one up.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.approval_answer import APPROVED, approval_output, subject_hash
from pipeline_engine.data.failure import EXPRESSION, PAYLOAD_TOO_LARGE, REJECTED, VALIDATION_INPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.interpreter.flow.waits import milliseconds, too_much
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED, WAITING
from pipeline_engine.interpreter.step_values import Input, expression_failure, render_input
from pipeline_engine.language.approval import APPROVAL, problems_of
from pipeline_engine.language.plan import StepPlan

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand


def ask(strand: "Strand", step: StepPlan, path: str) -> Generator[Wait, Any, Input | Failure]:
    """The input that somebody has agreed to; asks for it first, and fails when nobody agrees."""
    place = f"{path}.approval"
    journal = strand.run.journal
    entry = journal.past.get(place)
    if entry is None:
        asked = journal.waits.get(place)
        if asked is None or asked.state == WAITING:
            start_us = strand.run.now_us()
            wish = _question(strand, step, place) if asked is None else Wait(path=place)
            if not isinstance(wish, Failure) and not strand.run.may_ask(wish):
                wish = too_much()
            if isinstance(wish, Failure):
                return strand.record_failure(step, path, 1, start_us, b"", wish, repeated=False)
            yield wish
            raise AssertionError("a run that waits goes on in another stay")
        entry = _settled(step, path, asked)
        strand.record(entry)
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    return _approved(strand, step, path, entry)


def _question(strand: "Strand", step: StepPlan, place: str) -> Wait | Failure:
    found = render_input(step, strand.roots, strand.run.account)
    if isinstance(found, Failure):
        return found
    if step.approval is None:
        raise AssertionError("who asks has a question")
    try:
        options = step.approval.render(strand.roots, strand.run.account)
        for key, message in problems_of(options):  # the first one
            return Failure(VALIDATION_INPUT, f"`needs_approval.{key}`: {message}")
        question = write({**options, "data": found.value})
    except ExpressionError as error:
        return expression_failure(error)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else EXPRESSION, f"the question: {error}")
    wish = Wait(path=place, kind="APPROVAL", tool=APPROVAL, input=question, guarded_tool=step.uses)
    wish.subject_hash = subject_hash(found.value)
    if "expires_in" in options:
        wish.deadline_ms = milliseconds(options, "expires_in")
    return wish


def _settled(step: StepPlan, path: str, asked: JournalEntry) -> JournalEntry:
    """The entry of a question that is over: SUCCEEDED with the answer, or FAILED with why the step may not start."""
    entry = JournalEntry()
    entry.CopyFrom(asked)
    if asked.state == FAILED:
        return entry
    found = approval_output(asked.input, asked.output)
    if isinstance(found, Failure):
        failure = found
    else:
        value, entry.output = found
        if value["status"] == APPROVED:
            entry.state = SUCCEEDED
            return entry
        failure = _rejected(value)
    entry.state, entry.error, entry.output = FAILED, failure.at(path, step.uses, 1).to_json(), b""
    return entry


def _rejected(value: dict[str, Any]) -> Failure:
    details = {key: value[key] for key in ("status", "agent", "comment", "approval") if value[key]}
    reason = "nobody answered in time" if value["agent"] is None else f"{value['agent']} rejected it"
    return Failure(REJECTED, f"{reason}: {value['comment']}" if value["comment"] else reason, details=details)


def _approved(strand: "Strand", step: StepPlan, path: str, entry: JournalEntry) -> Input | Failure:
    """The approved input, which must fit the tool as it is now."""
    value = orjson.loads(entry.output)["data"]
    problem = step.check_input(value) if step.check_input is not None else None
    if type(value) is not dict:
        problem = "", "an object is expected"
    if problem is not None:
        failure = Failure(VALIDATION_INPUT, f"what was approved: {problem[1]}", pointer=problem[0])
        return strand.record_failure(step, path, 1, strand.run.now_us(), b"", failure, repeated=False)
    return Input(value, write(value))
