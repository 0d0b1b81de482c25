"""Steps that start other runs: what of them must stand in the document, and what of it is not theirs to render."""

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings

RUN_TASK = "orchestrator.run_task"


def awaits_child(step: Step) -> bool:
    """Whether the step waits for the end of the run that it starts."""
    return step.uses == RUN_TASK and isinstance(step.input, dict) and step.input.get("wait") is True


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
