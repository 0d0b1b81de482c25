"""`orchestrator.wait`: its end is recorded when it begins, so that a resumed run waits for what is left."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from ordinaut.expressions.times import format_moment, moment_of_us, parse_duration
from pipeline_engine.attempt import render_input
from pipeline_engine.failure import VALIDATION_INPUT, Failure
from pipeline_engine.interpreter.signals import Attempt, Expired
from pipeline_engine.language.moments import read_moment
from pipeline_engine.language.plan import StepPlan
from pipeline_engine.requests import Sleep

if TYPE_CHECKING:
    from pipeline_engine.interpreter.strand import Strand

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LAST = datetime(9999, 1, 1, tzinfo=UTC)


def wait(strand: "Strand", step: StepPlan, path: str) -> Attempt:
    """Lets the time pass; the run fails when it has not that much."""
    run = strand.run
    recorded = run.journal.past.get(path)
    end_us = recorded.end_us if recorded is not None else _begin(strand, step, path)
    if isinstance(end_us, Failure):
        return end_us
    while (left := (end_us - run.now_us()) / 1_000_000) > 0:
        if run.remaining() <= 0:
            failure = Failure("TIMEOUT", "the run has taken longer than it may", step=path, tool=step.uses, attempt=1)
            return Expired(failure)
        yield Sleep(min(left, run.remaining()))
    return None


def _begin(strand: "Strand", step: StepPlan, path: str) -> int | Failure:
    start_us = strand.run.now_us()
    strand.enter(step, path, 1, start_us)
    found = render_input(step, strand.roots, strand.run.account)
    if isinstance(found, Failure):
        return strand.record_failure(step, path, 1, start_us, b"", found, repeated=False)
    end_us = _end(found.value, start_us)
    if isinstance(end_us, Failure):
        return strand.record_failure(step, path, 1, start_us, found.body, end_us, repeated=False)
    output = {"until": moment_of_us(end_us)}
    strand.record_success(step, path, 1, start_us, found.body, orjson.dumps(output), output, max(start_us, end_us))
    return end_us


def _end(given: dict[str, Any], start_us: int) -> int | Failure:
    """When it is over, in microseconds since 1970 UTC."""
    if "for" in given:
        span = parse_duration(given["for"].strip())
        if span is None:
            return Failure(VALIDATION_INPUT, "a duration such as `90s` is expected", pointer="/for")
        return start_us + span // MICROSECOND
    moment = read_moment(given["until"])
    if moment is None or moment >= LAST:
        return Failure(VALIDATION_INPUT, f"an RFC 3339 time before {format_moment(LAST)} is expected", pointer="/until")
    return (moment - EPOCH) // MICROSECOND
