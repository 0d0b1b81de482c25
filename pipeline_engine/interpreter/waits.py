"""Steps that wait, for a time, an event, an answer or another run: asked for once, known in a later stay of the run.

What was asked and what came of it stands in the journal only once there is a result. Until then `RunStart.waits` says
what has been asked, so that nothing is rendered twice: `now` is another one after a wait.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.clock import EPOCH, TICK
from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.bounds import measure
from ordinaut.expressions.times import format_timestamp, parse_duration
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from ordinaut.names import TopicPatternError, topic_matcher
from pipeline_engine.data.failure import PAYLOAD_TOO_LARGE, VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import schema_problems
from pipeline_engine.interpreter.approval import outcome, subject_hash
from pipeline_engine.interpreter.journal import FAILED, WAITING
from pipeline_engine.interpreter.run import Heard
from pipeline_engine.interpreter.signals import Attempt
from pipeline_engine.interpreter.step_values import expression_failure
from pipeline_engine.language.approval import APPROVAL
from pipeline_engine.language.children import RUN_PIPELINE, RUN_TASK
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.language.wait_times import read_moment
from pipeline_engine.validation.computed_pipeline import computed_document, normalised
from pipeline_engine.validation.pipeline import tools_of

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

TIMER = "orchestrator.wait"
EVENT = "orchestrator.wait_event"
MOMENTS = ("until", "publish_time", "time")
"""Where the outputs of these tools say when the wait was over."""
CHECK_FUEL = 30
"""What each element of a document costs that is held against the language; about a microsecond each."""
MAX_POSITION = 2**63
FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def wait(strand: "Strand", step: StepPlan, path: str) -> Attempt:
    """Asks to wait, or goes on with what came of it."""
    asked = strand.run.journal.waits.get(path)
    if asked is None:
        start_us = strand.run.now_us()
        wish = _rendered(strand, step, path)
        if not isinstance(wish, Failure) and not strand.run.may_ask(wish):
            wish = too_much()
        if isinstance(wish, Failure):
            return strand.record_failure(step, path, 1, start_us, b"", wish, repeated=False)
        yield wish
    elif asked.state == WAITING:
        yield Wait(path=path)
    else:
        return _result(strand, step, asked)
    raise AssertionError("a run that waits goes on in another stay")


def too_much() -> Failure:
    """The run asks for more than it may wait for."""
    return Failure(PAYLOAD_TOO_LARGE, "what the run waits for is too large together")


def heard(strand: "Strand", tool: str, output: Any) -> None:
    """Notes what a line of steps has waited for: what came before it is no news to the line any more.

    What happens while another run is waited for is news afterwards.
    """
    if tool in (RUN_TASK, RUN_PIPELINE):
        return
    moment = read_moment(next(output[key] for key in MOMENTS if key in output))
    if moment is None:
        return
    us, position = (moment - EPOCH) // TICK, output.get("position")
    known = tool == EVENT and type(position) is int and 0 < position < MAX_POSITION  # a mock may say anything
    strand.heard = Heard(us, position) if known else Heard(us + 1)
    strand.run.heard = max(strand.run.heard, strand.heard)


def _result(strand: "Strand", step: StepPlan, entry: JournalEntry) -> Failure | None:
    if entry.tool == APPROVAL and entry.state != FAILED:
        found = outcome(entry.input, entry.output)
        if isinstance(found, Failure):
            return strand.record_failure(step, entry.path, 1, entry.start_us, entry.input, found, repeated=False)
        entry.output = found[1]
    strand.record(entry)
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    strand.save(step, orjson.loads(entry.output) if entry.output else None)
    heard(strand, step.uses, strand.last)
    return None


def _rendered(strand: "Strand", step: StepPlan, path: str) -> Wait | Failure:
    found = strand.input_of(step, path)
    if isinstance(found, Failure):
        return found
    wish = Wait(path=path, tool=step.uses, input=found.body)
    try:
        if step.uses == RUN_PIPELINE:
            return _inner(strand, wish, found.value["pipeline"])
        FILL[step.uses](wish, found.value, strand)
    except _UnreadableError as error:
        return Failure(VALIDATION_INPUT, error.message, pointer=f"/{error.key}")
    except ExpressionError as error:
        return expression_failure(error)
    return wish


class _UnreadableError(Exception):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


def _fill_timer(wish: Wait, given: dict[str, Any], _strand: "Strand") -> None:
    wish.kind = "TIMER"
    if "until" in given:
        wish.deadline_us = _moment_us(given, "until")
    else:
        wish.deadline_ms = milliseconds(given, "for")


def _fill_event(wish: Wait, given: dict[str, Any], strand: "Strand") -> None:
    try:
        topic_matcher(given["topic"])
    except TopicPatternError as error:
        raise _UnreadableError("topic", str(error)) from None
    wish.kind, wish.topic = "EVENT", given["topic"]
    wish.deadline_ms = milliseconds(given, "timeout")
    if "since" in given:
        wish.since_us = _moment_us(given, "since")
    elif strand.heard.position:  # events that came together have one time
        wish.since_us, wish.after_position = strand.run.created_us, strand.heard.position
    else:
        wish.since_us = strand.heard.us
    if "match" in given:
        match = given["match"]
        for expression in [match] if isinstance(match, str) else match:
            compile_expression(expression)
        wish.match = orjson.dumps(match)


def _fill_approval(wish: Wait, given: dict[str, Any], _strand: "Strand") -> None:
    wish.kind, wish.subject_hash = "APPROVAL", subject_hash(given.get("data"))
    if "expires_in" in given:
        wish.deadline_ms = milliseconds(given, "expires_in")
    for pointer, message in schema_problems(given.get("answer_schema", True)):
        raise _UnreadableError(f"answer_schema{pointer}", message)


def _inner(strand: "Strand", wish: Wait, value: Any) -> Wait | Failure:
    """A run of the document that the step has got."""
    strand.run.account.spend(CHECK_FUEL * measure(value)[1])
    document = computed_document(value)
    if isinstance(document, Failure):
        return document
    wish.kind, wish.pipeline = "CHILD", normalised(document)
    wish.tools.extend(tools_of(document))
    return wish


def _fill_child(wish: Wait, _given: dict[str, Any], _strand: "Strand") -> None:
    wish.kind = "CHILD"


FILL: Mapping[str, Callable[[Wait, dict[str, Any], "Strand"], None]] = {
    TIMER: _fill_timer,
    EVENT: _fill_event,
    APPROVAL: _fill_approval,
    RUN_TASK: _fill_child,
}


def _moment_us(given: dict[str, Any], key: str) -> int:
    moment = read_moment(given[key])
    if moment is None or not FIRST <= moment < LAST:
        raise _UnreadableError(key, f"an RFC 3339 time before {format_timestamp(LAST)} is expected")
    return (moment - EPOCH) // TICK


def milliseconds(given: dict[str, Any], key: str) -> int:
    """The duration under a key, at least 1 ms."""
    span = parse_duration(given[key].strip())
    if span is None:
        raise _UnreadableError(key, "a duration such as `90s` is expected")
    return max(1, span // timedelta(milliseconds=1))
