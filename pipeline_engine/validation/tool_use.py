"""Checks how a step uses its tool: that the tool exists, the literal input, waits and lookups."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ordinaut.documents.misspelled import misspelled
from ordinaut.limits import FINALLY_SECONDS
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.approval import APPROVAL
from pipeline_engine.language.builtin_steps import RUN_TASK, check_run_task, check_wait, waits_for_child
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings
from pipeline_engine.language.inputs import check_input
from pipeline_engine.tools.checks.lookup_check import lookup_problem
from pipeline_engine.tools.definition import BUILT_IN, UNSAFE
from pipeline_engine.validation.sensitive_input import warn_of_readable_inputs

TIMER = "orchestrator.wait"
MAX_CANDIDATES = 3
TOOL_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("sleep", "delay", "pause"), TIMER),
    **dict.fromkeys(("approval", "human", "approve"), APPROVAL),
    **dict.fromkeys(("state.set", "state.put", "set_state"), "orchestrator.put_state"),
    **dict.fromkeys(("state.get", "read_state"), "orchestrator.get_state"),
    **dict.fromkeys(("publish", "events.publish", "emit_event"), "orchestrator.emit"),
    **dict.fromkeys(("subworkflow", "call"), "orchestrator.run_task"),
}
"""Names of other languages for built-in tools, without `orchestrator.`."""
WAITING = frozenset({TIMER, "orchestrator.wait_event", APPROVAL})


def check_tool_use(
    step: Step, tools: Mapping[str, Mapping[str, Any]], tool_names: Sequence[str], findings: Findings
) -> None:
    """Reports every problem of a step with `uses`; `tool_names` are all names that exist."""
    if step.uses in WAITING or waits_for_child(step):
        _check_modifiers_of_wait(step, findings)
    check_run_task(step, findings)
    tool = tools.get(step.uses)
    if tool is not None:
        check_input(step.input, tool.get("input_schema"), step.place.key("with"), step.uses, findings)
        if step.uses == TIMER:
            check_wait(step.input, step.place.key("with"), findings)
        _check_lookup(step, tool, tools, findings)
        warn_of_readable_inputs(step, tool, findings)
    elif step.uses not in tool_names:
        _report_unknown_tool(step, tool_names, findings)


def refuse_waits(step: Step, findings: Findings) -> None:
    """Reports a step of `finally` that would suspend the run; all of them together have FINALLY_SECONDS."""
    reason = f"`finally` has {FINALLY_SECONDS} s and cannot wait"
    if step.needs_approval is not None:
        where = step.place.key("needs_approval")
        findings.problem(where, f"{reason} for an approval", fix=("Removes it.", [where.remove()]))
    if step.rounds is not None:
        findings.problem(step.place.key("until"), f"{reason} between the rounds of `until`")
    if step.uses == RUN_TASK and waits_for_child(step):
        where = step.place.key("with").key("wait")
        fix = ("Starts the run without waiting for it.", [where.replace(False)])
        findings.problem(where, f"{reason} for the end of a run", fix=fix)
    elif step.uses in WAITING or waits_for_child(step):
        findings.problem(step.place.key("uses"), f"{reason}: {step.uses} suspends the run")


def _check_modifiers_of_wait(step: Step, findings: Findings) -> None:
    """A wait is not retried, and its duration is part of its input or belongs to the child run."""
    for key in [name for name, value in (("timeout", step.timeout), ("retry", step.retry)) if value is not None]:
        instead = "the child run has its own" if waits_for_child(step) else "`with` sets how long to wait"
        message = f"`{key}` does not apply to {step.uses}, which waits; {instead}"
        findings.problem(step.place.key(key), message)


def _check_lookup(
    step: Step, tool: Mapping[str, Any], tools: Mapping[str, Mapping[str, Any]], findings: Findings
) -> None:
    """An UNSAFE tool without a usable lookup leaves the outcome of a lost call to a person."""
    problem = lookup_problem(tool, tools)
    where = step.place.key("uses")
    if problem is not None:
        findings.problem(where, f"{step.uses} cannot be used: {problem}", ErrorReason.UNKNOWN_TOOL)
    elif tool.get("effect") == UNSAFE and not tool.get("lookup"):
        consequence = "when the answer of a call is lost, the run waits until a person decides"
        findings.warn(where, f"{step.uses} is {UNSAFE} and its definition has no lookup: {consequence}")


def _report_unknown_tool(step: Step, tool_names: Sequence[str], findings: Findings) -> None:
    where = step.place.key("uses")
    message = f"unknown tool {step.uses[:128]!r}"
    intended = intended_tool(step.uses, tool_names)
    if intended is not None:
        fix = (f"Uses {intended}.", [where.replace(intended)])
        findings.problem(where, f"{message}; did you mean {intended}?", ErrorReason.UNKNOWN_TOOL, fix)
        return
    near = get_close_matches(step.uses, tool_names, MAX_CANDIDATES)
    hint = f"; similar names: {', '.join(near)}" if near else ""
    findings.problem(where, f"{message}{hint}", ErrorReason.UNKNOWN_TOOL)


def intended_tool(name: str, tool_names: Sequence[str]) -> str | None:
    """The tool that a name certainly stands for: its misspelling, its last word alone, or the name of another language.

    A similar name of another meaning is not replaced: `orchestrator.set`, which changes nothing, is neither
    `orchestrator.sleep` nor `state.set`.
    """
    known = TOOL_ALIASES.get(name.lower().removeprefix(BUILT_IN))
    if known is not None:
        return known if known in tool_names else None
    if "." not in name:
        same_word = [tool for tool in tool_names if tool.rpartition(".")[2] == name]
        return same_word[0] if len(same_word) == 1 else None
    return misspelled(name, tool_names)
