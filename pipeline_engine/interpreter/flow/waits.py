"""Steps that wait for a time, an event, an approval or a child run.

A wait is requested once and ends the segment. The wait and its result enter the journal only when there is a result.
Until then `RunStart.waits` contains the rendered wait, so that a run that resumes for another reason does not render it
again: `now` differs in each segment, and a deadline would move.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ordinaut.clock import EPOCH, TICK
from ordinaut.expressions import ExpressionError, compile_expression, semantics
from ordinaut.expressions.bounds import measure
from ordinaut.expressions.event_condition import bound_match
from ordinaut.expressions.times import format_timestamp, parse_duration
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.names import TopicPatternError, topic_matcher
from pipeline_engine.data.approval_answer import approval_output, subject_hash
from pipeline_engine.data.describe import quoted
from pipeline_engine.data.failure import PAYLOAD_TOO_LARGE, VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import schema_problems
from pipeline_engine.interpreter.journal import FAILED, WAITING
from pipeline_engine.interpreter.run import WAITS_MAX_BYTES
from pipeline_engine.interpreter.step_values import Input, expression_failure
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import StepFlow
from pipeline_engine.interpreter.taken_events import EVENT, positions_in
from pipeline_engine.language.approval import APPROVAL
from pipeline_engine.language.builtin_steps import RUN_PIPELINE, RUN_TASK, read_instant
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.validation.computed_pipeline import computed_document, normalised
from pipeline_engine.validation.pipeline import tools_of

TIMER = "orchestrator.wait"
CHECK_FUEL = 30
"""Cost of validating one element of a computed pipeline; a unit is about a microsecond."""
FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def run_wait(strand: Strand, step: StepPlan, path: str) -> StepFlow:
    """Requests a wait, or continues with its result, which counts although the run's time is over by then."""
    requested = strand.run.journal.waits.get(path)
    is_open = requested is None or requested.state == WAITING
    if is_open and (expired := strand.expired(step, path, 1)) is not None:
        return strand.end_wait(expired, path)
    attempt = strand.begin(step, path, 1)
    if strand.run.is_finishing:
        return strand.record_failure(attempt, Failure(VALIDATION_INPUT, "a step of `finally` cannot wait"))
    if requested is None:
        start_us = strand.run.now_us()
        wait = _render(strand, step, path)
        if not isinstance(wait, Failure) and not strand.run.reserve_wait(wait):
            wait = waits_too_large()
        if isinstance(wait, Failure):
            return strand.record_failure(Attempt(step, path, 1, start_us), wait)
        yield wait
    elif requested.state == WAITING:
        yield Wait(path=path)
    else:
        return _result(strand, step, requested)
    raise AssertionError("a suspended run resumes in another segment")


def waits_too_large() -> Failure:
    """Returns the failure of a run whose open waits together exceed their limit."""
    return Failure(PAYLOAD_TOO_LARGE, f"all open waits of a run must be at most {WAITS_MAX_BYTES} bytes together")


def _result(strand: Strand, step: StepPlan, entry: JournalEntry) -> Failure | None:
    if entry.tool == APPROVAL and entry.state != FAILED:
        answer = approval_output(entry.input, entry.output)
        if isinstance(answer, Failure):
            attempt = Attempt(step, entry.path, 1, entry.start_us, Input(orjson.loads(entry.input), entry.input))
            return strand.record_failure(attempt, answer)
        entry.output = answer[1]
    strand.record(entry)
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    strand.save(step, orjson.loads(entry.output) if entry.output else None)
    if step.uses == EVENT:
        positions = positions_in(strand.last_output)
        strand.taken |= positions
        strand.run.taken_events.add(entry.path, positions)
    return None


def _render(strand: Strand, step: StepPlan, path: str) -> Wait | Failure:
    rendered = strand.input_of(step, path)
    if isinstance(rendered, Failure):
        return rendered
    wait = Wait(path=path, tool=step.uses, input=rendered.body)
    try:
        if step.uses == RUN_PIPELINE:
            return _computed_child(strand, wait, rendered.value["pipeline"])
        FILL[step.uses](wait, rendered.value, strand)
    except _ArgumentError as error:
        return Failure(VALIDATION_INPUT, error.message, pointer=f"/{error.key}")
    except ExpressionError as error:
        return expression_failure(error)
    return wait


class _ArgumentError(Exception):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


def _fill_timer(wait: Wait, arguments: dict[str, Any], _strand: Strand) -> None:
    wait.kind = "TIMER"
    if "until" in arguments:
        wait.deadline_us = _instant_us(arguments, "until")
    else:
        wait.deadline_ms = milliseconds(arguments, "for")


def _fill_event(wait: Wait, arguments: dict[str, Any], strand: Strand) -> None:
    try:
        topic_matcher(arguments["topic"])
    except TopicPatternError as error:
        raise _ArgumentError("topic", str(error)) from None
    wait.kind, wait.topic = "EVENT", arguments["topic"]
    wait.deadline_ms = milliseconds(arguments, "timeout")
    if "since" in arguments:
        wait.since_us = _instant_us(arguments, "since")
    wait.taken_positions.extend(sorted(strand.taken))
    if "match" in arguments:
        wait.match = orjson.dumps(_match(arguments["match"], strand))


def _match(match: Any, strand: Strand) -> Any:
    """Returns the condition as the scheduler evaluates it: with the values of this run that it reads."""
    if strand.run.plan.semantics > semantics.FIRST:
        return bound_match(match, strand.roots)
    for expression in [match] if isinstance(match, str) else match:
        compile_expression(expression, semantics=semantics.FIRST)
    return match


def _fill_approval(wait: Wait, arguments: dict[str, Any], _strand: Strand) -> None:
    wait.kind, wait.subject_hash = "APPROVAL", subject_hash(arguments.get("data"))
    if "expires_in" in arguments:
        wait.deadline_ms = milliseconds(arguments, "expires_in")
    for pointer, message in schema_problems(arguments.get("answer_schema", True)):
        raise _ArgumentError(f"answer_schema{pointer}", message)


def _fill_child(wait: Wait, _arguments: dict[str, Any], _strand: Strand) -> None:
    wait.kind = "CHILD"


FILL: Mapping[str, Callable[[Wait, dict[str, Any], Strand], None]] = {
    TIMER: _fill_timer,
    EVENT: _fill_event,
    APPROVAL: _fill_approval,
    RUN_TASK: _fill_child,
}


def _computed_child(strand: Strand, wait: Wait, value: Any) -> Wait | Failure:
    """Returns the wait for a child run of a pipeline that the step has received; its validation is charged."""
    strand.run.account.spend(CHECK_FUEL * measure(value)[1])
    document = computed_document(value)
    if isinstance(document, Failure):
        return document
    wait.kind, wait.pipeline = "CHILD", normalised(document)
    wait.tools.extend(tools_of(document))
    return wait


def _instant_us(arguments: dict[str, Any], key: str) -> int:
    instant = read_instant(arguments[key])
    if instant is None or not FIRST <= instant < LAST:
        expected = f"must be an RFC 3339 time before {format_timestamp(LAST)}"
        raise _ArgumentError(key, f"`{key}` {expected} (got {quoted(arguments[key])})")
    return (instant - EPOCH) // TICK


def milliseconds(arguments: dict[str, Any], key: str) -> int:
    """Returns the duration under a key in milliseconds, at least 1."""
    span = parse_duration(arguments[key].strip())
    if span is None:
        raise _ArgumentError(key, f"`{key}` must be a duration such as `90s` (got {quoted(arguments[key])})")
    return max(1, span // timedelta(milliseconds=1))
