"""Steps that start other runs: what of them must stand in the document, and what of it is not theirs to render."""

from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.template import Template, compile_template
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings

RUN_TASK = "orchestrator.run_task"
RUN_PIPELINE = "orchestrator.run_pipeline"


def awaits_child(step: Step) -> bool:
    """Whether the step waits for the end of the run that it starts."""
    if step.uses == RUN_PIPELINE:
        return True
    return step.uses == RUN_TASK and isinstance(step.input, dict) and step.input.get("wait") is True


def written_pipeline(step: Step) -> Any:
    """The document that the step runs, where it is written and not computed; else None.

    Its placeholders are those of the run to be, and stay as they are.
    """
    if step.uses != RUN_PIPELINE or not isinstance(step.input, dict):
        return None
    document = step.input.get("pipeline")
    return document if isinstance(document, dict | list) else None


def own_input(step: Step) -> Any:
    """The part of the step's input that is its own to render."""
    if written_pipeline(step) is None:
        return step.input
    return {key: value for key, value in step.input.items() if key != "pipeline"}


def input_template(step: Step) -> Template:
    """The step's input, to be rendered.

    Raises:
        ExpressionError: a placeholder cannot be read.
    """
    document = written_pipeline(step)
    own = compile_template(own_input(step))
    if document is None:
        return own
    return Template(
        lambda roots, account: {**own.render(roots, account), "pipeline": document}, own.constant, own.expressions
    )


def check_child(step: Step, findings: Findings) -> None:
    """Notes what decides how the step is executed and does not stand in the document, or stands there twice."""
    if step.uses != RUN_TASK:
        return
    place, given = step.place.key("with"), step.input
    if not isinstance(given, dict):
        message = f"{RUN_TASK} takes an object; its values may be expressions"
        findings.problem(place, message, ErrorReason.TOOL_INPUT_INVALID)
        return
    if isinstance(given.get("wait"), str):
        where = place.key("wait")
        fix = ("Waits for the run.", [where.replace(True)])
        findings.problem(where, "`wait` is true or false, and no expression", ErrorReason.TOOL_INPUT_INVALID, fix)
    if "delay" in given and "start_time" in given:
        fix = ("Starts at that time.", [place.key("delay").remove()])
        message = "one of `delay` and `start_time` is expected, not both"
        findings.problem(place, message, ErrorReason.TOOL_INPUT_INVALID, fix)
