"""Generated values match the tool's schema and are reproducible by seed."""

from random import Random
from typing import Any

import orjson
import pytest

from pipeline_engine.data.schemas import errors_of, schema_problems
from pipeline_engine.simulation.value_generator import KINDS, generate
from tests.sample import FULL

NODE = {"$ref": "#/$defs/node"}
SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a", "c"]},
    {"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "boolean"}},
    {"type": "array", "items": {"type": "number", "minimum": 3, "maximum": 4}, "minItems": 2, "maxItems": 5},
    {"type": "array", "prefixItems": [{"type": "string"}, {"const": 7}], "items": False},
    {"type": "array", "maxItems": 0},
    {"type": "integer", "minimum": -5, "exclusiveMaximum": -3},
    {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 7},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "maximum": -1000},
    {"type": "string", "minLength": 40, "maxLength": 45},
    {"type": "string", "maxLength": 2},
    {"type": ["null", "string"]},
    {"type": "null"},
    {"enum": ["a", 1, None]},
    {"const": {"a": [1]}},
    {"examples": [{"city": "Porto"}], "type": "object", "required": ["city"]},
    {"default": 5, "type": "integer"},
    {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date"}]},
    {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
    {"$ref": "#/$defs/node", "$defs": {"node": {"properties": {"next": NODE}, "required": ["v"]}}},
    {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}},
    {"properties": {"at": {"type": "string", "format": "date-time"}}},
    True,
]
FORMATS = ("date-time", "date", "time", "duration", "email", "hostname", "uri", "uuid", "ipv4", "ipv6", "unheard-of")


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_a_generated_value_matches_its_schema(schema: Any) -> None:
    """With every seed."""
    assert not schema_problems(schema)
    for seed in range(30):
        value = generate(schema, str(seed))
        assert not errors_of(schema, value), value


def test_formats_are_generated() -> None:
    """Unknown formats are words."""
    for name in FORMATS:
        assert not errors_of({"type": "string", "format": name}, generate({"format": name}, "1"))


def test_the_seed_determines_the_value() -> None:
    """Equal seeds give equal values; different seeds usually give different ones."""
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3}
    assert generate(schema, "1") == generate(schema, "1")
    assert len({str(generate(schema, str(seed))) for seed in range(10)}) > 1


def test_generation_ends_for_a_recursive_schema() -> None:
    """A required part of its own type has no finite value."""
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}}
    assert not errors_of(endless, generate(endless, "1"))
    needed = {"$ref": "#/$defs/a", "$defs": {"a": {"required": ["a"], "properties": {"a": {"$ref": "#/$defs/a"}}}}}
    assert generate(needed, "1")["a"]["a"]
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert generate(circle, "1") == {}


def test_the_size_of_a_generated_value_is_limited() -> None:
    """However wide the schema is at every level."""
    wide: Any = {"type": "integer"}
    for _ in range(8):
        wide = {"type": "array", "minItems": 1000, "items": wide}
    tree = {"properties": {name: {"$ref": "#"} for name in "abcdefgh"}}
    for schema in (wide, tree):
        assert len(orjson.dumps(generate(schema, "1"))) < 1024 * 1024


NUMBERS = (0, 1, -1, 0.5, -7.25, 10**6, 2**60, -(2**60), 1e308, -1e308, 1e-300)
SIZES = (0, 1, 2, 7, 1000, 10**9)
STEPS = (1, 3, 0.1, 2**60, 1e-300, 1e308)


def any_schema(chance: Random, depth: int = 0) -> dict[str, Any]:
    """Returns a random schema, which may be contradictory."""

    def inner() -> Any:
        return any_schema(chance, depth + 1) if depth < 3 and chance.random() < 0.9 else chance.choice([True, False])

    made: dict[str, Any] = {
        "type": chance.choice([*KINDS, ["null", "integer"]]),
        **{key: chance.choice(NUMBERS) for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")},
        "multipleOf": chance.choice(STEPS),
        **{key: chance.choice(SIZES) for key in ("minLength", "maxLength", "minItems", "maxItems")},
        "prefixItems": [inner()],
        "items": inner(),
        "properties": {name: inner() for name in chance.sample("abc", 2)},
        "required": chance.sample("abcd", 2),
        "additionalProperties": inner(),
        "enum": [chance.randint(-9, 9)],
        "format": chance.choice(FORMATS),
        "anyOf": [inner(), inner()],
        "allOf": [inner()],
        "$ref": chance.choice(["#", "#/properties/a", "#/anyOf/0", "#/nowhere"]),
    }
    kept = chance.sample(list(made), chance.randint(0, 5))
    return {key: made[key] for key in kept}


def test_generation_never_raises() -> None:
    """Every result is JSON, valid or not."""
    chance = Random(7)
    for number in range(300 if FULL else 100):
        schema = any_schema(chance)
        value = generate(schema, str(number))
        assert orjson.loads(orjson.dumps(value)) == value, schema
