"""The work of a schema is bounded when it is accepted, and the work of a check before it begins."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_engine.data.schema_cost import ENDLESS, CostError, cost_per_byte
from pipeline_engine.data.schemas import COSTLY_UNITS, Check, compile_schema, schema_problems
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, error_of

NODE = {"$ref": "#/$defs/n"}


def doubled(times: int, apply: str = "allOf", link: str = "$ref") -> dict[str, Any]:
    """A schema of about 70 bytes a level that doubles the work of one value at each level."""
    levels = {f"a{level}": {apply: [{link: f"#/$defs/a{level + 1}"}] * 2} for level in range(times)}
    return {"$defs": {**levels, f"a{times}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def conditional(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"if": schema, "then": schema, "else": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        doubled(40),
        doubled(36, "oneOf"),
        doubled(36, "anyOf"),
        {"$defs": {"b": doubled(30)["$defs"]["a30"]}, **doubled(20)},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#/properties/x"}], "properties": {"x": {"not": {"$ref": "#"}}}},
        {"$recursiveRef": "#", "$schema": "https://json-schema.org/draft/2019-09/schema"},
        {"$dynamicRef": "#n", "$dynamicAnchor": "n"},
        {"$anchor": "n", "anyOf": [{"$ref": "#n"}]},
        {"components": {"a": {"allOf": [{"$ref": "#/components/a"}]}}, "$ref": "#/components/a"},
        conditional(7),
        {"dependentSchemas": {"x": doubled(12)}, **doubled(12)},
        {"enum": [{"a": number} for number in range(1000)]},
        {"const": {"a": "x" * 5000}},
        {"allOf": [{"pattern": f"^{number}"} for number in range(101)]},
        {"patternProperties": {"x" * 513: {}}},
        {"allOf": [{"pattern": "a{50}" + "b" * 480}] * 90},
        {
            "required": [f"k{number}" for number in range(4000)],
            "allOf": [NODE] * 5,
            "$defs": {"n": {"required": ["x"] * 4000}},
        },
        {"unevaluatedProperties": False, "allOf": [{"unevaluatedProperties": False, "allOf": [doubled(7)]}]},
    ],
    ids=lambda value: str(value)[:40],
)
def test_costly_schemas_are_refused(schema: dict[str, Any]) -> None:
    start = time.perf_counter()
    problems = schema_problems(schema)
    assert problems
    assert time.perf_counter() - start < 1


def test_the_problem_names_the_place_and_the_limit() -> None:
    [(pointer, message)] = schema_problems(
        {"properties": {"x": doubled(40)["$defs"]["a0"]}, "$defs": doubled(40)["$defs"]}
    )
    assert pointer.startswith("/$defs/a")
    assert "at most 1000" in message


@pytest.mark.parametrize(
    ("schema", "cost"),
    [
        (True, 1),
        ({"type": "object", "properties": {name: {"type": "string"} for name in "abcdef"}}, 1),
        ({"enum": ["a", "b"]}, 2),
        ({"$defs": {"n": {"properties": {"next": NODE}}}, **NODE}, 2),
        ({"$defs": {"n": {"items": {"anyOf": [NODE, {"type": "string"}]}}}, **NODE}, 4),
        ({"$defs": {"n": {"items": {"anyOf": [NODE, NODE]}}}, **NODE}, ENDLESS),
        ({"$defs": {"n": {"properties": {"x": NODE}, "additionalProperties": NODE}}, **NODE}, ENDLESS),
        ({"$id": "https://a/b", "$defs": {"n": {"$id": "c", "$defs": {"m": {}}, "$ref": "#/$defs/m"}}, **NODE}, 3),
        ({"definitions": {"n": {"items": [{"$ref": "#/definitions/n"}]}}, "$ref": "#/definitions/n"}, 2),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_cost_of_a_byte(schema: Any, cost: int) -> None:
    assert cost_per_byte(schema) == cost


SCHEMAS = st.recursive(
    st.sampled_from(
        [{"type": "string"}, {"type": "integer"}, {"pattern": "^a+b"}, {"enum": [1, {"a": 2}]}, NODE, {"$ref": "#"}]
    ),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"allOf": parts}),
        inner.map(lambda part: {"items": part}),
        st.tuples(inner, inner).map(lambda pair: {"properties": {"a": pair[0]}, "additionalProperties": pair[1]}),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, SCHEMAS, st.integers(1, 40))
def test_a_check_within_the_budget_is_short(root: dict[str, Any], node: dict[str, Any], depth: int) -> None:
    """The worst value of each depth, for any schema: what may run in the event loop takes some ms of CPU.

    The limit is the one of the watchdog's turn: on a busy machine the same check costs several times the CPU time.
    """
    schema = {**root, "$defs": {"n": node}}
    try:
        check = compile_schema(schema)
    except (CostError, ValueError):
        return
    if check is None:
        return
    value: Any = "aab"
    for level in range(depth):
        value = {"a": value, "b": value} if level < 10 else [value]
    if check.is_costly(len(str(value))):
        return
    start = time.process_time()
    check.first_problem(value)
    assert time.process_time() - start < 0.25


COSTLY = {"$defs": {"n": {"items": {"anyOf": [NODE, NODE]}}}, "properties": {"x": NODE}}


def run(output_schema: Any = None, input_schema: Any = None, **world: Any) -> tuple[Any, World]:
    tool = {
        "name": "t.call",
        "http": {"method": "POST", "url": "http://127.0.0.1:1/"},
        "effect": "READ",
        **({"input_schema": input_schema} if input_schema else {}),
        **({"output_schema": output_schema} if output_schema else {}),
    }

    document = pipeline(step("a", "t.call", input={"x": [["a"]]}, retry=0), output="${steps.a}")
    one = World(document, tools=[orjson.dumps(tool)], **world)
    return one.run(), one


def test_a_costly_check_is_a_request_to_the_engine() -> None:
    ending, one = run(output_schema=COSTLY, input_schema=COSTLY)
    assert ending.state == "SUCCEEDED"
    assert one.checks == 2


@pytest.mark.parametrize(
    ("place", "code"), [("input_schema", "VALIDATION_INPUT"), ("output_schema", "VALIDATION_OUTPUT")]
)
def test_the_problem_of_a_costly_check_fails_the_step(place: str, code: str) -> None:
    ending, _ = run(**{place: COSTLY}, check=lambda _request: ("/x", "no"))
    assert {"code": code, "pointer": "/x", "message": "no"}.items() <= error_of(ending).items()


def test_other_checks_are_made_at_once() -> None:
    ending, one = run(output_schema={"type": "object"}, input_schema={"properties": {"x": {"type": "array"}}})
    assert (ending.state, one.checks) == ("SUCCEEDED", 0)


def test_the_budget_is_in_units() -> None:
    check = Check({}, lambda _value: None, 100)
    assert not check.is_costly(COSTLY_UNITS // 100)
    assert check.is_costly(COSTLY_UNITS // 100 + 1)
