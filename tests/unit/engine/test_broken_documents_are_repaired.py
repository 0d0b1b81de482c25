"""Every problem of a document is named, and applying the fixes repairs nearly all of them."""

import copy
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from ordinaut.v1.error_pb2 import ErrorReason
from tests.unit.engine.pipelines import checked, pipeline, step

LIST = "calendar.list_events"
SET = "orchestrator.set"
AGENDA = step("agenda", LIST, input={"start": "${now}"})
ROUNDS = 6
NEVER_REPAIRED = {"empty", "later_modifier"}

BROKEN: dict[str, Any] = {
    "use_for_uses": pipeline({"id": "a", "use": LIST, "with": {"start": "${now}"}}),
    "tool_for_uses": pipeline({"id": "a", "tool": LIST, "args": {"start": "${now}"}}),
    "when_for_if": pipeline(AGENDA, {"id": "b", "uses": SET, "when": "length(steps.agenda.events) > 0"}),
    "retries_for_retry": pipeline(step("a", retries=3)),
    "misspelt_save_as": pipeline(step("a", save_ass="x")),
    "tasks_for_steps": {"version": 1, "tasks": [AGENDA]},
    "wrong_version": {"version": 2, "steps": [AGENDA]},
    "version_as_text": {"version": "1", "steps": [AGENDA]},
    "unknown_tool_near": pipeline(step("a", "calender.list_event", input={"start": "${now}"})),
    "unknown_tool_bare_word": pipeline(step("a", "list_events", input={"start": "${now}"})),
    "emit_without_namespace": pipeline(step("a", "emit", input={"topic": "x"})),
    "duplicate_id": pipeline(step("a"), step("a")),
    "three_times_the_same_id": pipeline(step("a"), step("a"), step("a")),
    "save_as_taken": pipeline(step("a"), step("b", save_as="a")),
    "id_with_capitals": pipeline(step("listEvents")),
    "id_with_hyphen": pipeline(step("my-step")),
    "id_with_dots": pipeline(step("a.b")),
    "id_dunder": pipeline(step("__class__")),
    "id_empty": pipeline(step("")),
    "id_missing": pipeline({"uses": SET}),
    "id_on_error": pipeline(step("on_error")),
    "text_in_double_quotes": pipeline(AGENDA, step("b", condition='steps.agenda.status == "ok"')),
    "not_of_a_path": pipeline(AGENDA, step("b", condition="!steps.agenda.done")),
    "hyphen_in_path": pipeline(AGENDA, step("b", input={"x": "${steps.agenda.last-name}"})),
    "single_equals": pipeline(AGENDA, step("b", condition="steps.agenda.n = 3")),
    "python_and": pipeline(AGENDA, step("b", condition="steps.agenda.a and steps.agenda.b")),
    "step_misspelt": pipeline(AGENDA, step("b", input={"x": "${steps.agend.events}"})),
    "step_without_root": pipeline(AGENDA, step("b", input={"x": "${agenda.events}"})),
    "root_misspelt": pipeline(step("a", input={"x": "${parms.city}"})),
    "run_member_misspelt": pipeline(step("a", input={"x": "${run.nam}"})),
    "timeout_without_unit": pipeline(step("a", timeout=30)),
    "retry_as_text": pipeline(step("a", retry="3")),
    "retry_code_in_lower_case": pipeline(step("a", retry={"max": 1, "codes": ["timeout"]})),
    "on_error_ignore": pipeline(step("a", on_error="ignore")),
    "with_null": pipeline(step("a", input=None)),
    "input_key_misspelt": pipeline(step("a", LIST, input={"strat": "${now}"})),
    "input_number_as_text": pipeline(step("a", LIST, input={"start": "x", "limit": "5"})),
    "input_enum_misspelt": pipeline(step("a", LIST, input={"start": "x", "order": "newst"})),
    "input_list_without_brackets": pipeline(step("a", LIST, input={"start": "x", "labels": "work"})),
    "input_boolean_as_text": pipeline(step("a", LIST, input={"start": "x", "all": "true"})),
    "wrapped": {"payload": {"pipeline": [{"id": "A", "uses": SET}]}},
    "several_at_once": pipeline(
        {"id": "A-1", "use": "calendar.list_event", "with": {"strat": "${now}"}, "timeout": 5},
        step("b", condition='steps.a_1.x == "y"'),
    ),
    "handler_misspelt": pipeline(step("a", on_failure=[{"id": "h", "uses": SET, "with": {"e": "${eror.code}"}}])),
    "in_pipeline_handler": pipeline(step("a"), on_error=[step("h", input={"e": "${error.cod}"})]),
    "in_output": pipeline(step("a"), output={"x": "${steps.b.y}"}),
    "empty": pipeline(),
    "later_modifier": pipeline(step("a", needs_approval=True)),
}


def apply(document: Any, operations: list[dict[str, Any]]) -> Any:
    """The document after a JSON Patch of `add`, `replace`, `remove` and `move`."""
    for operation in operations:
        value = operation.get("value")
        if operation["op"] == "move":
            value = _take(document, operation["from"])
        if operation["op"] == "remove":
            _take(document, operation["path"])
        else:
            parent, key = _locate(document, operation["path"])
            parent[key] = value
    return document


def _locate(document: Any, pointer: str) -> tuple[Any, Any]:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in way:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document, int(last) if isinstance(document, list) else last


def _take(document: Any, pointer: str) -> Any:
    parent, key = _locate(document, pointer)
    return parent.pop(key)


def repaired(document: Any) -> tuple[Any, bool]:
    """The document after applying every fix, again and again; and whether it is without problems then."""
    document = copy.deepcopy(document)
    for _ in range(ROUNDS):
        violations = checked(document).violations
        if not violations:
            return document, True
        done = set()
        for violation in violations:
            if violation.HasField("fix") and violation.field not in done:
                done.add(violation.field)
                operations = MessageToDict(violation.fix)["operations"]
                try:
                    document = apply(document, operations)
                except (KeyError, IndexError):
                    break  # an earlier fix moved it: the next round sees it anew
        if not done:
            return document, False
    return document, not checked(document).violations


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_document_is_refused(name: str) -> None:
    """Each document of the corpus has a problem with a place, a message and a reason."""
    violations = checked(BROKEN[name]).violations
    assert violations
    for violation in violations:
        assert violation.message
        assert violation.reason != ErrorReason.ERROR_REASON_UNSPECIFIED


def test_fixes_repair_nine_of_ten() -> None:
    """Applying the fixes makes at least 90 % of the corpus valid."""
    left = [name for name, document in BROKEN.items() if not repaired(document)[1]]
    assert len(BROKEN) >= 30
    assert len(left) <= len(BROKEN) * 0.1, left
    assert set(left) >= NEVER_REPAIRED, "what cannot be repaired must not be repaired by accident"


def test_every_problem_is_found_at_once() -> None:
    """One answer names all problems, each at its place."""
    found = {violation.field for violation in checked(BROKEN["several_at_once"]).violations}
    assert {"steps[0].id", "steps[0].use", "steps[0].timeout", "steps[1].if"} <= found
