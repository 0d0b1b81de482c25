"""What ends a wait, kind by kind, in the form in which the store keeps it until the run goes on."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from ordinaut.clock import EPOCH
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import TIMEOUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.interpreter.waits import MOMENTS
from pipeline_engine.language import approval
from pipeline_engine.simulation.answers import outcome_of

Outcome = Output | Failure
TIMER, EVENT, APPROVAL, CHILD = "TIMER", "EVENT", "APPROVAL", "CHILD"


def given(wish: Wait, value: Any, moment_us: int) -> Outcome:
    """What a mock stands for that ends a wait at a moment: what it does not say is added."""
    if wish.kind == CHILD:
        return Output(value)
    if not isinstance(value, dict) or not all(isinstance(value.get(key, ""), str) for key in MOMENTS):
        message = f"what ends a wait of {wish.tool} is an object, in which {', '.join(MOMENTS)} are texts"
        return Failure(VALIDATION_OUTPUT, message, step=wish.path, tool=wish.tool, attempt=1)
    return Output({**UNSAID[wish.kind](wish, _written(moment_us)), **value})


def expired(wish: Wait, deadline_us: int) -> Outcome:
    """What becomes of a wait whose deadline has passed."""
    match wish.kind:
        case "TIMER":
            return Output(_timer(wish, _written(deadline_us)))
        case "APPROVAL":
            return Output({"status": "expired", "approval": None, "time": _written(deadline_us)})
    message = f"no matching event was published on {wish.topic} before the deadline"
    return Failure(TIMEOUT, message, step=wish.path, tool=wish.tool, attempt=1)


def recorded(entry: JournalEntry) -> Outcome:
    """What ended a wait, from the entry that a run made of it."""
    outcome = outcome_of(entry)
    if isinstance(outcome, Failure) or entry.tool != approval.APPROVAL:
        return outcome
    answer = outcome.value
    asked = orjson.loads(entry.input).get("data") if entry.input else None
    edited = {"edited_input": answer["data"]} if answer.get("data") != asked else {}
    return Output({**answer, **edited})


def _timer(_wish: Wait, moment: str) -> dict[str, Any]:
    return {"until": moment}


def _event(wish: Wait, moment: str) -> dict[str, Any]:
    return {
        "name": f"events/{wish.path}",
        "position": 0,
        "topic": wish.topic,
        "source": "",
        "subject": "",
        "id": "",
        "data": {},
        "publish_time": moment,
        "publisher": "",
        "depth": 0,
    }


def _answer(wish: Wait, moment: str) -> dict[str, Any]:
    """An approval, by the first of the choices."""
    choices = orjson.loads(wish.input).get("choices") or ["approve"]
    return {"status": "approved", "choice": choices[0], "agent": None, "approval": None, "time": moment}


UNSAID: Mapping[str, Callable[[Wait, str], dict[str, Any]]] = {TIMER: _timer, EVENT: _event, APPROVAL: _answer}


def _written(moment_us: int) -> str:
    """A moment as the store writes it."""
    return (EPOCH + timedelta(microseconds=moment_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
