"""Reads and checks `needs_approval`, the approval before a step calls its tool, and `orchestrator.request_approval`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.expressions.times import parse_duration
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.data.schemas import schema_problems
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.inputs import is_literal
from pipeline_engine.language.keys import refuse_unknown_keys
from pipeline_engine.language.references import Names, check_value
from pipeline_engine.language.values import is_number

APPROVAL = "orchestrator.request_approval"
UNGUARDED = frozenset({APPROVAL, *(f"orchestrator.{word}" for word in ("set", "fail", "stop", "wait", "wait_event"))})
"""Tools without side effects, and the one that itself requests an approval."""
WEEK = "7d"
APPROVAL_KEYS = ("message", "editable", "assignees", "expires_in", "allow_self")
ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("question", "text", "prompt", "title"), "message"),
    **dict.fromkeys(("edit", "fields", "edits"), "editable"),
    **dict.fromkeys(("assignee", "approvers", "approver", "agents", "by", "who", "from"), "assignees"),
    **dict.fromkeys(("expires", "timeout", "expire_in", "within", "deadline"), "expires_in"),
    **dict.fromkeys(("self", "self_approval"), "allow_self"),
}
AGENT = re.compile(r"(agents/)?[a-z][a-z0-9-]{0,62}")
POINTER = re.compile(r"(/([^~/]|~[01])*)*")
MAX_MESSAGE = 4096
MAX_POINTER = 1024
MAX_LISTED = 100


def read_needs_approval(value: Any, place: Place, findings: Findings) -> dict[str, Any] | None:
    """Reads the options of the approval before a step; empty for `true`, None without an approval."""
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, dict):
        message = f"`needs_approval` must be true or an object such as `{{expires_in: 1d}}` (got {quoted(value)})"
        findings.problem(place, message, fix=_option_fix(value, place))
        return None
    refuse_unknown_keys(value, APPROVAL_KEYS, ALIASES, place, findings)
    for key, message in problems_of({key: _sample(key, item) for key, item in value.items()}):
        where = place.key(key)
        findings.problem(where, message, fix=_fix(key, value[key], where))
    return value


def problems_of(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields each key with an invalid value, and the message."""
    for key, (is_valid, expected) in EXPECTED.items():
        if key in options and not is_valid(options[key]):
            yield key, f"`{key}` must be {expected} (got {quoted(options[key])})"


def check_approval(step: Step, names: Names, findings: Findings) -> None:
    """Reports problems of an approval that a step needs or requests, and warns when it never expires."""
    if step.needs_approval is not None:
        _check_needs_approval(step, step.needs_approval, names, findings)
    elif step.uses == APPROVAL and isinstance(step.input, dict):
        _check_question(step.input, step.place.key("with"), findings)


def _check_needs_approval(step: Step, options: Mapping[str, Any], names: Names, findings: Findings) -> None:
    where = step.place.key("needs_approval")
    check_value(dict(options), where, names, findings)
    if step.uses in UNGUARDED:
        message = f"`needs_approval` does not apply to {step.uses}, which has no side effects; to ask, use {APPROVAL}"
        findings.problem(where, message)
    elif "expires_in" not in options:
        _warn(where, where.key("expires_in").add(WEEK) if options else where.replace({"expires_in": WEEK}), findings)


def _check_question(question: Mapping[str, Any], where: Place, findings: Findings) -> None:
    if "expires_in" not in question:
        _warn(where, where.key("expires_in").add(WEEK), findings)
    schema = question.get("answer_schema")
    if isinstance(schema, dict) and is_literal(schema):
        for pointer, message in schema_problems(schema):
            below = where.key("answer_schema").below(pointer)
            findings.problem(below, message, ErrorReason.INVALID_SCHEMA)


def _warn(where: Place, end: Mapping[str, Any], findings: Findings) -> None:
    message = "without `expires_in` the run waits for the approval indefinitely"
    findings.warn(where, message, (f"Makes it expire after `{WEEK}`.", [end]))


def _sample(key: str, value: Any) -> Any:
    """Returns a value with its templates removed, because they may evaluate to a valid value."""
    if key == "assignees" and isinstance(value, list):
        return [name for name in value if not (isinstance(name, str) and "${" in name)]
    if key == "assignees" and isinstance(value, str) and value.strip().startswith("${"):
        return []
    return "1s" if key == "expires_in" and isinstance(value, str) and "${" in value else value


def _is_message(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MESSAGE


def _is_span(value: Any) -> bool:
    return isinstance(value, str) and parse_duration(value.strip()) is not None


def _are_agents(value: Any) -> bool:
    return _is_list(value) and all(AGENT.fullmatch(name) for name in value)


def _are_pointers(value: Any) -> bool:
    return _is_list(value) and all(len(part) <= MAX_POINTER and POINTER.fullmatch(part) for part in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MAX_LISTED and all(isinstance(part, str) for part in value)


EXPECTED = {
    "message": (_is_message, f"a string of 1 to {MAX_MESSAGE} characters"),
    "editable": (_are_pointers, f"a list of at most {MAX_LISTED} JSON pointers into `with`, such as `/text`"),
    "assignees": (_are_agents, f"a list of at most {MAX_LISTED} agents"),
    "expires_in": (_is_span, "a duration such as `90s`, `5m`, `1h30m`, `7d` or `PT1H`"),
    "allow_self": (lambda value: isinstance(value, bool), "true or false"),
}


def _option_fix(value: Any, place: Place) -> tuple[str, list[Mapping[str, Any]]] | None:
    if _is_list(value) and value and _are_agents(value):
        return "Makes it `assignees`.", [place.replace({"assignees": value})]
    literal = {"true": True, "yes": True, "false": False, "no": False}.get(str(value).strip().lower())
    if literal is not None:
        return "Makes it a boolean.", [place.replace(literal)]
    if _is_message(value) and " " in value.strip():
        return "Makes it `message`.", [place.replace({"message": value})]
    return None


def _fix(key: str, value: Any, where: Place) -> tuple[str, list[Mapping[str, Any]]] | None:
    if key == "expires_in" and is_number(value) and parse_duration(f"{value:g}s") is not None:
        return "Adds the unit, seconds.", [where.replace(f"{value:g}s")]
    if key == "assignees" and isinstance(value, str) and AGENT.fullmatch(value):
        return "Makes it a list.", [where.replace([value])]
    if key == "editable":
        return _pointers_fix(value, where)
    if key == "allow_self" and value in ("true", "false"):
        return "Removes the quotes.", [where.replace(value == "true")]
    return None


def _pointers_fix(value: Any, where: Place) -> tuple[str, list[Mapping[str, Any]]] | None:
    names = [value] if isinstance(value, str) else value
    if not _is_list(names):
        return None
    pointers = [name if name.startswith("/") or not name else "/" + name.replace(".", "/") for name in names]
    return ("Turns them into JSON pointers.", [where.replace(pointers)]) if _are_pointers(pointers) else None
