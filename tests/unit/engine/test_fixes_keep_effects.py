"""A fix never drops an effect, replaces a tool by one of another kind, or changes what expressions read."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from tests.unit.engine.pipelines import checked, pipeline, step

SET = "orchestrator.set"


def operations(*steps: dict[str, Any], **rest: Any) -> list[dict[str, Any]]:
    """The operations of all fixes of a pipeline, which must be invalid."""
    violations = checked(pipeline(*steps, **rest)).violations
    assert violations
    return [each for violation in violations for each in MessageToDict(violation.fix).get("operations", [])]


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("orchestrator.sleep", "orchestrator.wait"), ("delay", "orchestrator.wait"),
        ("approval", "orchestrator.request_approval"), ("human", "orchestrator.request_approval"),
        ("state.set", "orchestrator.put_state"), ("orchestrator.set_state", "orchestrator.put_state"),
        ("publish", "orchestrator.emit"), ("subworkflow", "orchestrator.run_task"),
        ("orchestator.set", SET), ("orchestrator.wiat", "orchestrator.wait"), ("list_events", "calendar.list_events"),
        ("calender.list_events", "calendar.list_events"), ("weather.forcast", "weather.forecast"),
        ("orchestrator.se", SET),
        ("calendar.delete_events", None), ("calendar.list", None), ("mail.send", None), ("state.stop", None),
        ("orchestrator.get", None), ("orchestrator.start", None), ("weather.forecast2", None), ("kv.set", None),
        ("orchestrator.wait_events", "orchestrator.wait_event"), ("orchestrator.pu_state", "orchestrator.put_state"),
        ("google.list_events", None), ("orchestrator.run", None), ("orchestrator.eject", None),
    ],
)  # fmt: skip
def test_a_tool_is_replaced_only_by_the_one_that_is_meant(name: str, becomes: str | None) -> None:
    found = [each["value"] for each in operations(step("a", name)) if each["path"] == "/steps/0/uses"]
    assert found == ([becomes] if becomes else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": [step("x")], "needs_approval": True}, {"do": [step("x")], "with": {"a": 1}},
        {"do": [step("x")], "retry": 3}, {"branches": {"l": [step("x")]}, "timeout": "5s"},
        {"uses": SET, "needs_approval": True}, {"uses": "orchestrator.stop", "needs_approval": {"message": "Stop?"}},
        {"uses": SET, "else": [step("x")]}, {"uses": SET, "every": "5s"}, {"uses": SET, "max_rounds": 3},
        {"uses": SET, "tolerate": 1}, {"uses": "orchestrator.wait", "with": {"for": "5s"}, "timeout": "1m"},
        {"uses": SET, "while": "params.busy", "every": "5s"}, {"uses": SET, "attempts": 3},
        {"uses": SET, "foreach": [1], "limit": 3}, {"uses": SET, "foreach": [1], "where": "item > 1"},
        {"uses": "orchestrator.run_task", "with": {"task": "t", "delay": "5s", "start_time": "2027-01-01T00:00:00Z"}},
        {"uses": SET, "foreach": [1], "as": "event", "with": {"x": "${event.y}"}},
        {"uses": SET, "as": "event", "with": {"x": "${event.y}"}}, {"uses": SET, "parallel": True},
        {"uses": "orchestrator.run_task", "with": {"task": "t", "wait": "maybe"}},
    ],
)  # fmt: skip
def test_what_was_asked_for_is_not_removed(wrong: dict[str, Any]) -> None:
    assert operations({"id": "a", **wrong}) == []


def test_steps_that_others_read_are_not_moved_into_branches() -> None:
    sides = {"l": [step("x", input={"v": 1})], "r": [step("y", input={"v": "${steps.x.v}"})]}
    reader = step("z", input={"v": "${steps.x.v}"})
    assert [each["op"] for each in operations({"id": "both", "parallel": {"l": sides["l"]}})] == ["move"]
    assert operations({"id": "both", "parallel": sides}, reader) == []


@pytest.mark.parametrize(
    ("block", "text", "becomes"),
    [
        ({"branches": {"left": [step("x", input={"v": 1})]}}, "${steps.x.v}", "${steps.b.left.v}"),
        ({"until": "steps.x.v", "every": "1s", "do": [step("x", input={"v": 1})]}, "${steps.x.v}", "${steps.b.v}"),
        ({"branches": {"left": [step("x"), step("y")]}}, "${steps.x.v}", None),
        ({"foreach": [1], "do": [step("x")]}, "${steps.x.v}", None),
    ],
)
def test_a_name_inside_a_block_is_replaced_by_the_same_value(block: Any, text: str, becomes: str | None) -> None:
    found = operations({"id": "b", **block}, step("z", input={"v": text}))
    assert [each["value"] for each in found] == ([becomes] if becomes else [])


def test_a_repeated_name_that_is_read_is_not_renamed() -> None:
    assert operations(step("a"), step("a")) != []
    assert operations(step("a", input={"v": 1}), step("a"), step("z", input={"v": "${steps.a.v}"})) == []


@pytest.mark.parametrize(("text", "becomes"), [("true", True), ("False", False)])
def test_the_quotes_of_a_literal_keep_its_value(text: str, becomes: bool) -> None:
    found = operations(step("a", "orchestrator.run_task", input={"task": "t", "wait": text}))
    assert {each["value"] for each in found} == {becomes}


@pytest.mark.parametrize(
    ("key", "value", "becomes"),
    [
        ("limit", "12345678901234567890", None), ("limit", "0123", None), ("limit", "12", 12), ("start", 1.25, "1.25"),
        ("start", 1234567.891, "1234567.891"), ("order", "latest", None), ("order", "newset", "newest"),
    ],
)  # fmt: skip
def test_values_keep_every_character(key: str, value: Any, becomes: Any) -> None:
    found = operations(step("a", "calendar.list_events", input={"start": "x", key: value}))
    assert [each["value"] for each in found] == ([] if becomes is None else [becomes])
