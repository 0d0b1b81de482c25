"""A path that the output schema of a tool does not have is a problem, or a warning if the schema is open."""

import re
from typing import Any

import orjson
import pytest

from pipeline_engine.data.schema_paths import EMBEDDED, missing_member
from tests.unit.engine.pipelines import TOOL_TEXTS, checked, pipeline, step

TEXT = {"type": "string"}
EVENTS = {
    "type": "object",
    "properties": {
        "events": {"type": "array", "items": {"$ref": "#/$defs/event"}},
        "next": {"type": ["string", "null"]},
        "place": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]},
    },
    "additionalProperties": False,
    "$defs": {
        "event": {"type": "object", "properties": {"title": TEXT, "owner": {"$ref": "#/$defs/place"}}},
        "place": {"type": "object", "properties": {"city": TEXT}, "additionalProperties": False},
    },
}
TOOLS = [
    *TOOL_TEXTS,
    orjson.dumps({"name": "demo.closed", "output_schema": EVENTS, "http": {"url": "http://127.0.0.1:1/"}}),
    orjson.dumps(
        {
            "name": "demo.open",
            "output_schema": {"type": "object", "properties": {"title": TEXT}},
            "http": {"url": "http://127.0.0.1:1/"},
        }
    ),
]
CLOSED, OPEN = step("a", "demo.closed"), step("a", "demo.open")


def messages_of(first: dict[str, Any], text: str, key: str = "output") -> tuple[list[str], list[str]]:
    """The messages of the problems and of the warnings about an expression after the step."""
    document = pipeline(
        first, step("b", **({"if": text} if key == "if" else {})), **({key: text} if key == "output" else {})
    )
    answer = checked(document, tools=TOOLS)
    return [violation.message for violation in answer.violations], list(answer.warnings)


@pytest.mark.parametrize(
    "path",
    [
        "steps.a.evnts",
        "steps.a.events.title",
        "steps.a.next.page",
        "steps.a.place.town",
        "steps.a.events[0].owner.town",
        "steps.a.events[*].owner.town",
        "steps.a.events[?title == 'x'].owner.town",
        "steps.a.evnts[*].title",
        "steps.a.evnts[?title == 'x']",
        "length(steps.a.evnts)",
        "default(steps.a.evnts, 'none')",
        "steps.a.evnts || 'none'",
        "steps.a[0]",
    ],
)
@pytest.mark.parametrize("key", ["output", "if"])
def test_a_path_that_cannot_exist_is_a_problem(path: str, key: str) -> None:
    """At every depth, and in every kind of expression."""
    problems, _ = messages_of(CLOSED, f"${{{path}}}", key)
    assert [re.search("cannot exist by the schema", problem) is not None for problem in problems] == [True]


@pytest.mark.parametrize(
    "path",
    [
        "steps.a.events",
        "steps.a.events[0].title",
        "steps.a.events[-1].owner.city",
        "steps.a.events[*].owner.city",
        "steps.a.place.city",
        "steps.a",
        "steps.a.events[?owner.city == 'x'].title",
        "keys(steps.a)",
    ],
)
def test_a_declared_path_is_accepted(path: str) -> None:
    assert messages_of(CLOSED, f"${{{path}}}") == ([], [])


@pytest.mark.parametrize(("first", "path"), [(OPEN, "steps.a.titel"), (CLOSED, "steps.a.events[0].titel")])
def test_a_path_that_an_open_schema_does_not_declare_is_a_warning(first: dict[str, Any], path: str) -> None:
    """With the name that was probably intended."""
    problems, warnings = messages_of(first, f"${{{path}}}")
    assert problems == []
    assert ["did you mean `title`?" in warning for warning in warnings] == [True]


@pytest.mark.parametrize(
    ("modifiers", "good", "bad"),
    [
        ({"foreach": [1, 2]}, "steps.a[0].next", "steps.a.next"),
        ({"foreach": [1, 2]}, "steps.a[*].next", "steps.a[*].nxt"),
        ({"on_error": "continue"}, "steps.a.error.code", "steps.a.eror"),
        ({"on_error": [step("h")]}, "steps.a.next", "steps.a.eror"),
        ({"foreach": [1], "on_error": "continue"}, "steps.a[0].error.code", "steps.a[0].eror"),
        ({"save_as": "page"}, "steps.page.next", "steps.page.nxt"),
    ],
)
def test_modifiers_change_the_schema_of_the_output(modifiers: dict[str, Any], good: str, bad: str) -> None:
    """Loops are lists, handled errors an alternative."""
    assert messages_of({**CLOSED, **modifiers}, f"${{{good}}}") == ([], [])
    assert len(messages_of({**CLOSED, **modifiers}, f"${{{bad}}}")[0]) == 1


def test_groups_and_branches_have_the_outputs_of_their_last_steps() -> None:
    """Also with references inside the schemas."""
    group = {"id": "g", "do": [step("x"), CLOSED]}
    assert messages_of(group, "${steps.g.place.city}") == ([], [])
    assert len(messages_of(group, "${steps.g.place.town}")[0]) == 1
    both = {"id": "g", "branches": {"left": [CLOSED], "right": [step("x")]}}
    assert messages_of(both, "${steps.g.left.place.city} ${steps.g.right.anything}") == ([], [])
    assert len(messages_of(both, "${steps.g.left.place.town}")[0]) == 1
    assert len(messages_of(both, "${steps.g.lft}")[0]) == 1


def test_a_misspelt_member_is_repaired() -> None:
    answer = checked(pipeline(CLOSED, output="${steps.a.evnts}"), tools=TOOLS)
    assert answer.violations[0].fix.operations[0]["value"] == "${steps.a.events}"


def test_params_are_checked_at_every_depth() -> None:
    """Against the params_schema of the task."""
    schema = {"type": "object", "properties": {"user": EVENTS["$defs"]["place"]}}  # type: ignore[index]
    assert len(checked(pipeline(step("a"), output="${params.user.town}"), params_schema=schema).violations) == 1
    assert not checked(pipeline(step("a"), output="${params.user.city}"), params_schema=schema).violations


X = {"type": "object", "properties": {"x": {}}, "additionalProperties": False}
Y = {"type": "object", "properties": {"y": {}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "path", "closed"),
    [
        (True, "x", None),
        ({}, "x", None),
        (False, "x", True),
        ({"type": "string"}, "x", True),
        ({"type": "array"}, "x", True),
        ({"type": ["object", "null"]}, "x", None),
        ({"properties": {"x": False}}, "x", True),
        ({"required": ["y"]}, "x", False),
        ({"required": ["x"]}, "x", None),
        ({"anyOf": [X, Y]}, "y", None),
        ({"oneOf": [X, Y]}, "z", True),
        ({"allOf": [X, Y]}, "x", True),
        ({"allOf": [{"properties": {"x": {}}}], "unevaluatedProperties": False}, "x", None),
        ({"properties": {"y": {}}, "unevaluatedProperties": False}, "x", True),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, "x1", None),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, "y", True),
        ({"additionalProperties": {"type": "string"}}, "x", None),
        ({"if": {}, "then": X, "else": Y}, "y", None),
        ({"$ref": "#/$defs/x", "$defs": {"x": X}}, "y", True),
        ({"$ref": "#"}, "x", None),
        ({"$ref": "#/$defs/none"}, "x", None),
        ({EMBEDDED: {"$ref": "#/$defs/x", "$defs": {"x": X}}}, "y", True),
        ({"allOf": [{"anyOf": [{}, {}]}] * 10}, "x", None),
    ],
)
def test_members_of_schemas(schema: Any, path: str, closed: bool | None) -> None:
    """None: nothing is known to be missing."""
    missing = missing_member(schema, [path])
    assert (missing.closed if missing else None) is closed
