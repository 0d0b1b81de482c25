"""Parses the steps of a document. A problem of their shape is collected and parsing continues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ordinaut.limits import MAX_RETRIES
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.language.approval import read_needs_approval
from pipeline_engine.language.document import MAX_LEVELS, MAX_STEPS, RetryRule, Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.keys import ACCEPTED_STEP_KEYS, STEP_ALIASES, STEP_HINTS, refuse_unknown_keys
from pipeline_engine.language.loops import (
    read_foreach,
    read_max_parallel,
    read_rounds,
    read_tolerate,
    refuse_without_loop,
)
from pipeline_engine.language.structure import (
    actions_of,
    read_branch_names,
    refuse_else_without_condition,
    refuse_several_actions,
    refuse_what_needs_a_tool,
)
from pipeline_engine.language.values import (
    read_integer,
    read_name,
    read_retry,
    read_text,
    read_timeout,
    suggested_name,
)


def is_step(value: Any) -> bool:
    """Whether a value looks like a single step."""
    return isinstance(value, dict) and bool(value.keys() & set(ACCEPTED_STEP_KEYS))


def read_steps(values: list[Any], place: Place, findings: Findings, level: int = 0) -> tuple[Step, ...]:
    """Reads a list of steps that is nested in `level` other lists."""
    if not values:
        findings.problem(place, "a list of steps must have at least one step", ErrorReason.FIELD_REQUIRED)
    if len(values) > MAX_STEPS:
        message = f"a pipeline must have at most {MAX_STEPS} steps (got {len(values)})"
        findings.problem(place, message, ErrorReason.TOO_MANY_STEPS)
        return ()
    if level >= MAX_LEVELS:
        findings.problem(place, f"lists of steps must be nested at most {MAX_LEVELS} deep", ErrorReason.TOO_LARGE)
        return ()
    readers = (_StepReader(place.item(index), findings, level) for index in range(len(values)))
    steps = [reader.read(value, index) for index, (reader, value) in enumerate(zip(readers, values, strict=True))]
    return tuple(step for step in steps if step is not None)


@dataclass(frozen=True, slots=True)
class _StepReader:
    """Reads one step; `level` is the number of lists that enclose its own."""

    place: Place
    findings: Findings
    level: int

    def read(self, value: Any, index: int) -> Step | None:
        """Returns the step; None when the value is not an object."""
        if not isinstance(value, dict):
            message = f"a step must be an object with `id` and `uses`, `do` or `branches`, not {kind_of(value)}"
            self.findings.problem(self.place, message)
            return None
        refuse_unknown_keys(value, ACCEPTED_STEP_KEYS, STEP_ALIASES, self.place, self.findings, STEP_HINTS)
        refuse_several_actions(value, self.place, self.findings)
        refuse_what_needs_a_tool(value, self.place, self.findings)
        refuse_else_without_condition(value, self.place, self.findings)
        refuse_without_loop(value, self.place, self.findings)
        return Step(
            id=self._id(value, index),
            place=self.place,
            uses=self._uses(value),
            input=self._input(value),
            body=self._list(value["do"], self.place.key("do")) if "do" in value else None,
            branches=self._branches(value["branches"]) if "branches" in value else None,
            foreach=read_foreach(value, self.place, self.findings),
            max_parallel=read_max_parallel(value, self.place, self.findings),
            tolerate=read_tolerate(value, self.place, self.findings),
            rounds=read_rounds(value, self.place, self.findings),
            needs_approval=read_needs_approval(value["needs_approval"], self.place.key("needs_approval"), self.findings)
            if "needs_approval" in value
            else None,
            condition=self._condition(value),
            otherwise=self._list(value["else"], self.place.key("else")) if "else" in value else (),
            save_as=self._save_as(value),
            retry=self._retry(value),
            timeout=None if "until" in value else read_timeout(value, self.place, self.findings),
            on_error=self._on_error(value),
            name=read_text(value["name"], 200, self.place.key("name"), self.findings) if "name" in value else None,
        )

    def _id(self, value: Mapping[str, Any], index: int) -> str:
        fallback = f"step_{index + 1}"
        if "id" in value:
            return read_name(value["id"], self.place.key("id"), self.findings, fallback) or f"?{self.place.field}"
        if not any(STEP_ALIASES.get(key) == "id" for key in value):
            title = str(value.get("name") or str(value.get("uses", "")).rpartition(".")[2])
            suggestion = suggested_name(title) or fallback
            where = self.place.key("id")
            fix = (f"Names it `{suggestion}`.", [where.add(suggestion)])
            self.findings.problem(where, "a step must have an `id`", ErrorReason.FIELD_REQUIRED, fix)
        return f"?{self.place.field}"

    def _uses(self, value: Mapping[str, Any]) -> str:
        uses = value.get("uses")
        if isinstance(uses, str) and uses:
            return uses
        where = self.place.key("uses")
        if "uses" in value:
            self.findings.problem(where, f"`uses` must be the name of a tool (got {quoted(uses)})")
        elif not actions_of(value) and not any(STEP_ALIASES.get(key) in {"uses", "do", "branches"} for key in value):
            message = "a step must have `uses`, `do` or `branches`"
            self.findings.problem(where, message, ErrorReason.FIELD_REQUIRED)
        return ""

    def _input(self, value: Mapping[str, Any]) -> Any:
        arguments = value.get("with", {})
        if isinstance(arguments, dict) or (isinstance(arguments, str) and arguments.strip().startswith("${")):
            return arguments
        where = self.place.key("with")
        fix = ("Removes it.", [where.remove()]) if arguments is None or arguments == [] else None
        self.findings.problem(where, f"`with` must be an object (got {quoted(arguments)})", fix=fix)
        return {}

    def _list(self, value: Any, place: Place) -> tuple[Step, ...]:
        if isinstance(value, list):
            return read_steps(value, place, self.findings, self.level + 1)
        fix = ("Makes it a list.", [place.replace([value])]) if is_step(value) else None
        self.findings.problem(place, f"must be a list of steps, not {kind_of(value)}", fix=fix)
        return ()

    def _branches(self, value: Any) -> dict[str, tuple[Step, ...]]:
        place = self.place.key("branches")
        names = read_branch_names(value, place, self.findings)
        return {name: self._list(value[name], place.key(name)) for name in names}

    def _condition(self, value: Mapping[str, Any]) -> str | bool | None:
        condition = value.get("if")
        if condition is None or isinstance(condition, str | bool):
            return condition
        message = f"`if` must be an expression as a string, or a boolean, not {kind_of(condition)}"
        self.findings.problem(self.place.key("if"), message)
        return None

    def _save_as(self, value: Mapping[str, Any]) -> str | None:
        if value.get("save_as") is None:
            return None
        return read_name(value["save_as"], self.place.key("save_as"), self.findings, "saved")

    def _retry(self, value: Mapping[str, Any]) -> RetryRule | None:
        count = None
        if "max_retries" in value:  # also checked where `retry` has precedence
            count = read_integer(value["max_retries"], 0, MAX_RETRIES, self.place.key("max_retries"), self.findings)
        if "retry" in value:
            return read_retry(value["retry"], self.place.key("retry"), self.findings)
        return None if count is None else RetryRule(count)

    def _on_error(self, value: Mapping[str, Any]) -> tuple[Step, ...] | str:
        choice = value.get("on_error", "fail")
        where = self.place.key("on_error")
        if isinstance(choice, list):
            return read_steps(choice, where, self.findings, self.level + 1) or "fail"
        if choice in ("fail", "continue"):
            return str(choice)
        alias = {"ignore": "continue", "skip": "continue", "stop": "fail", "abort": "fail"}.get(str(choice).lower())
        fix = (f"Replaces it by `{alias}`.", [where.replace(alias)]) if alias else None
        if is_step(choice):
            fix = ("Makes it a list.", [where.replace([choice])])
        message = f"`on_error` must be `fail`, `continue` or a list of steps (got {quoted(choice)})"
        self.findings.problem(where, message, fix=fix)
        return "fail"
