"""The results of simulated waits, by kind, in the form in which the store keeps them until the run resumes."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from ordinaut.clock import EPOCH
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.failure import TIMEOUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.language import approval
from pipeline_engine.simulation.responder import outcome_of

Outcome = Output | Failure
TIMER, EVENT, APPROVAL, CHILD = "TIMER", "EVENT", "APPROVAL", "CHILD"
END_TIME_KEYS = ("until", "publish_time", "time")
"""The keys of the outputs of these tools that contain the time at which the wait ended."""


def mocked_result(wait: Wait, value: Any, end_us: int) -> Outcome:
    """Returns the result of a wait that a mock ends; missing fields get defaults."""
    if wait.kind == CHILD:
        return Output(value)
    if not isinstance(value, dict) or not all(isinstance(value.get(key, ""), str) for key in END_TIME_KEYS):
        expected = f"an object in which {', '.join(END_TIME_KEYS)} are strings"
        message = f"the mocked output of {wait.tool} must be {expected} (got {kind_of(value)})"
        return Failure(VALIDATION_OUTPUT, message, step=wait.path, tool=wait.tool, attempt=1)
    return Output({**DEFAULTS[wait.kind](wait, _timestamp(end_us)), **value})


def expired_result(wait: Wait, deadline_us: int) -> Outcome:
    """Returns the result of a wait after its deadline."""
    match wait.kind:
        case "TIMER":
            return Output(_timer(wait, _timestamp(deadline_us)))
        case "APPROVAL":
            return Output({"status": "expired", "approval": None, "time": _timestamp(deadline_us)})
    message = f"no matching event was published on {wait.topic} before the timeout"
    return Failure(TIMEOUT, message, step=wait.path, tool=wait.tool, attempt=1)


def recorded_result(entry: JournalEntry) -> Outcome:
    """Returns the result of a wait from the entry that a run recorded for it."""
    outcome = outcome_of(entry)
    if isinstance(outcome, Failure) or entry.tool != approval.APPROVAL:
        return outcome
    answer = outcome.value
    data = orjson.loads(entry.input).get("data") if entry.input else None
    edited = {"edited_input": answer["data"]} if answer.get("data") != data else {}
    return Output({**answer, **edited})


def _timer(_wait: Wait, time: str) -> dict[str, Any]:
    return {"until": time}


def _event(wait: Wait, time: str) -> dict[str, Any]:
    return {
        "name": f"events/{wait.path}",
        "position": 0,
        "topic": wait.topic,
        "source": "",
        "subject": "",
        "id": "",
        "data": {},
        "publish_time": time,
        "publisher": "",
        "depth": 0,
    }


def _answer(wait: Wait, time: str) -> dict[str, Any]:
    """Returns an approval by the first of the choices."""
    choices = orjson.loads(wait.input).get("choices") or ["approve"]
    return {"status": "approved", "choice": choices[0], "agent": None, "approval": None, "time": time}


DEFAULTS: Mapping[str, Callable[[Wait, str], dict[str, Any]]] = {TIMER: _timer, EVENT: _event, APPROVAL: _answer}


def _timestamp(time_us: int) -> str:
    """Formats a time as the store does."""
    return (EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
