"""Calls that a tool has accepted with 202: their result is polled, also by an engine that takes the run over.

Each new address is recorded before it is polled: in the entry of the start of the call, as `{"location": …}`. A resumed
run polls there instead of calling again.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import TIMEOUT, Failure
from pipeline_engine.interpreter.journal import RUNNING, STARTED, location_json
from pipeline_engine.interpreter.requests import Accepted, Call, Output, Sleep
from pipeline_engine.interpreter.strand import Attempt, Strand
from pipeline_engine.interpreter.strand_protocol import AwaitDurable, StrandRequest
from pipeline_engine.tools.definition import Kind, Polling


def location_of(strand: Strand, attempt: Attempt) -> str:
    """Returns the address at which an earlier segment polled the result of this attempt; empty without one."""
    entry = strand.run.journal.accepted.get(attempt.path)
    if entry is None or entry.attempt != attempt.number:
        return ""
    attempt.start_us = entry.start_us
    return str(orjson.loads(entry.output)["location"])


def await_result(
    strand: Strand, attempt: Attempt, call: Call, response: Any
) -> Generator[StrandRequest, Any, Output | Failure]:
    """Polls the result of a call until it is there; `response` is an Accepted, or the outcome of the first poll."""
    target = call.tool.http
    polling = (target.polling if target is not None else None) or Polling()
    while True:
        if call.location and isinstance(response, Failure) and response.code == TIMEOUT:
            response = Accepted(call.location, polling.interval)
        if not isinstance(response, Accepted):
            return response  # type: ignore[no-any-return]  # the driver responds to a Call with one of the three
        passed = (strand.run.now_us() - attempt.start_us) / 1_000_000
        if response.delay > min(polling.timeout - passed, strand.run.remaining()):
            return _late(polling, strand, passed)
        if response.location != call.location:
            yield from _record(strand, attempt, response.location)
        yield Sleep(response.delay)
        timeout = max(0.001, min(attempt.step.timeout, strand.run.remaining()))
        call = replace(call, location=response.location, timeout=timeout)
        response = yield call


def _record(strand: Strand, attempt: Attempt, location: str) -> Generator[StrandRequest, Any, None]:
    now_us = strand.run.now_us()
    entry = JournalEntry(
        path=attempt.path,
        attempt=attempt.number,
        state=RUNNING if attempt.step.kind is Kind.UNSAFE else STARTED,
        tool=attempt.step.uses,
        input=attempt.body,
        output=location_json(location),
        start_us=attempt.start_us,
        end_us=now_us,
    )
    strand.record(entry)
    yield AwaitDurable(strand.barrier)


def _late(polling: Polling, strand: Strand, passed: float) -> Failure:
    limit = "the run's timeout" if strand.run.remaining() < polling.timeout - passed else f"{polling.timeout:g} s"
    message = f"the tool accepted the call, and its result was not ready within {limit}"
    return Failure(TIMEOUT, message, retryable=True, may_have_happened=True)
