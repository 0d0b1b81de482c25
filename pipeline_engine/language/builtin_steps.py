"""Steps of built-in tools: which of their inputs must be literal, and how literal times are read."""

from datetime import datetime
from typing import Any

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_duration, parse_timestamp
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings, Place

RUN_TASK = "orchestrator.run_task"
RUN_PIPELINE = "orchestrator.run_pipeline"


def waits_for_child(step: Step) -> bool:
    """Whether the step waits for the run that it starts."""
    if step.uses == RUN_PIPELINE:
        return True
    return step.uses == RUN_TASK and isinstance(step.input, dict) and step.input.get("wait") is True


def literal_pipeline(step: Step) -> Any:
    """Returns the pipeline of a `run_pipeline` step if it is literal; None when an expression computes it.

    Its placeholders belong to the child run and are not rendered here.
    """
    if step.uses != RUN_PIPELINE or not isinstance(step.input, dict):
        return None
    document = step.input.get("pipeline")
    return document if isinstance(document, dict | list) else None


def check_run_task(step: Step, findings: Findings) -> None:
    """Reports options of `run_task` that must be literal and are not, or that exclude each other."""
    if step.uses != RUN_TASK:
        return
    place, arguments = step.place.key("with"), step.input
    if not isinstance(arguments, dict):
        message = f"`with` of {RUN_TASK} must be an object, not one expression; its values may be expressions"
        findings.problem(place, message, ErrorReason.TOOL_INPUT_INVALID)
        return
    if isinstance(arguments.get("wait"), str):
        where = place.key("wait")
        literal = {"true": True, "false": False}.get(arguments["wait"].strip().lower())
        fix = None if literal is None else ("Removes the quotes.", [where.replace(literal)])
        message = f"`wait` must be a literal true or false (got {quoted(arguments['wait'])})"
        findings.problem(where, message, ErrorReason.TOOL_INPUT_INVALID, fix)
    if "delay" in arguments and "start_time" in arguments:
        message = "`delay` and `start_time` exclude each other; set one of them"
        findings.problem(place, message, ErrorReason.TOOL_INPUT_INVALID)


def check_wait(value: Any, place: Place, findings: Findings) -> None:
    """Reports a literal duration or time that cannot be parsed; templates are checked when the step runs."""
    if not isinstance(value, dict):
        return
    span, until = value.get("for"), value.get("until")
    if isinstance(span, str) and "${" not in span and parse_duration(span.strip()) is None:
        where = place.key("for")
        seconds = f"{span.strip()}s"
        fix = ("Adds the unit, seconds.", [where.replace(seconds)]) if parse_duration(seconds) else None
        message = f"`for` must be a duration such as `90s`, `5m` or `7d` (got {quoted(span)})"
        findings.problem(where, message, ErrorReason.TOOL_INPUT_INVALID, fix)
    if isinstance(until, str) and "${" not in until and read_instant(until) is None:
        findings.problem(
            place.key("until"),
            f"`until` must be an RFC 3339 time with an offset, such as 2026-12-24T18:00:00+01:00 (got {quoted(until)})",
            ErrorReason.TOOL_INPUT_INVALID,
        )


def read_instant(text: str) -> datetime | None:
    """Parses an RFC 3339 time; None when it is invalid."""
    try:
        return parse_timestamp(text)
    except ExpressionError:
        return None
