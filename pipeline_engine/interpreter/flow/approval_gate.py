"""`needs_approval`: an approval before a step, for exactly the input that the step then gets.

The answer is a separate journal entry, `<path>.approval`, which precedes the start of the step. Nothing is rendered
after it: the approved input is the input of the call, also in a run that retries this one.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.approval_answer import APPROVED, approval_output, subject_hash
from pipeline_engine.data.failure import EXPRESSION, PAYLOAD_TOO_LARGE, REJECTED, VALIDATION_INPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.interpreter.flow.waits import milliseconds, waits_too_large
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED, WAITING
from pipeline_engine.interpreter.step_values import Input, check_input, expression_failure, render_input
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import StepFlow, StrandRequest
from pipeline_engine.language.approval import APPROVAL, problems_of
from pipeline_engine.language.plan import StepPlan

InputFlow = Generator[StrandRequest, Any, Input | Failure]


def await_approval(strand: Strand, step: StepPlan, path: str) -> StepFlow:
    """Requests the approval of a step's input, or reads its answer; returns None when the input is approved."""
    journal, approval_path = strand.run.journal, f"{path}.approval"
    question = journal.waits.get(approval_path)
    is_open = approval_path not in journal.recorded and (question is None or question.state == WAITING)
    if is_open and (expired := strand.expired(step, path, 1)) is not None:
        return strand.end_wait(expired, approval_path)
    attempt = strand.begin(step, path, 1)
    if strand.run.is_finishing:
        return strand.record_failure(attempt, Failure(VALIDATION_INPUT, "a step of `finally` cannot wait"))
    approved = yield from _approved_input(strand, step, path)
    if isinstance(approved, Failure):
        return approved
    strand.run.approved_inputs[path] = approved
    return None


def _approved_input(strand: Strand, step: StepPlan, path: str) -> InputFlow:
    approval_path = f"{path}.approval"
    journal = strand.run.journal
    entry = journal.recorded.get(approval_path)
    if entry is None:
        question = journal.waits.get(approval_path)
        if question is None or question.state == WAITING:
            start_us = strand.run.now_us()
            wait: Wait | Failure = Wait(path=approval_path)
            if question is None:
                wait = yield from _question(strand, step, approval_path)
            if not isinstance(wait, Failure) and not strand.run.reserve_wait(wait):
                wait = waits_too_large()
            if isinstance(wait, Failure):
                return strand.record_failure(Attempt(step, path, 1, start_us), wait)
            yield wait
            raise AssertionError("a suspended run resumes in another segment")
        entry = _answered(step, path, question)
        strand.record(entry)
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    return (yield from _checked_input(strand, step, path, entry))


def _question(strand: Strand, step: StepPlan, approval_path: str) -> Generator[StrandRequest, Any, Wait | Failure]:
    rendered = render_input(step, strand.roots, strand.run.account)
    if isinstance(rendered, Input):
        rendered = yield from strand.input_after_check(rendered)
    if isinstance(rendered, Failure):
        return rendered
    if step.approval is None:
        raise AssertionError("a step with an approval has its options")
    try:
        options = step.approval.render(strand.roots, strand.run.account)
        problem = next(problems_of(options), None)
        if problem is not None:
            return Failure(VALIDATION_INPUT, f"`needs_approval`: {problem[1]}")
        question = write({**options, "data": rendered.value})
    except ExpressionError as error:
        return expression_failure(error)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else EXPRESSION, f"the question of the approval: {error}")
    wait = Wait(path=approval_path, kind="APPROVAL", tool=APPROVAL, input=question, guarded_tool=step.uses)
    wait.subject_hash = subject_hash(rendered.value)
    if "expires_in" in options:
        wait.deadline_ms = milliseconds(options, "expires_in")
    return wait


def _answered(step: StepPlan, path: str, question: JournalEntry) -> JournalEntry:
    """Returns the entry of an answered question: SUCCEEDED with the answer, or FAILED when the step may not start."""
    entry = JournalEntry()
    entry.CopyFrom(question)
    if question.state == FAILED:
        return entry
    answer = approval_output(question.input, question.output)
    if isinstance(answer, Failure):
        failure = answer
    else:
        value, entry.output = answer
        if value["status"] == APPROVED:
            entry.state = SUCCEEDED
            return entry
        failure = _rejection(value)
    entry.state, entry.error, entry.output = FAILED, failure.at(path, step.uses, 1).to_json(), b""
    return entry


def _rejection(value: dict[str, Any]) -> Failure:
    details = {key: value[key] for key in ("status", "agent", "comment", "approval") if value[key]}
    reason = "the approval expired without an answer" if value["agent"] is None else f"rejected by {value['agent']}"
    return Failure(REJECTED, f"{reason}: {value['comment']}" if value["comment"] else reason, details=details)


def _checked_input(strand: Strand, step: StepPlan, path: str, entry: JournalEntry) -> InputFlow:
    """Returns the approved input; an edit, or a changed tool, may have made it invalid."""
    checked = check_input(step, orjson.loads(entry.output)["data"])
    if isinstance(checked, Input):
        checked = yield from strand.input_after_check(checked)
    if isinstance(checked, Failure):
        failure = replace(checked, message=f"the approved input: {checked.message}")
        return strand.record_failure(Attempt(step, path, 1, strand.run.now_us()), failure)
    return checked
