"""Values are made up to fit a tool's own words, and always the same ones for a seed."""

from typing import Any

import pytest

from pipeline_engine.schemas import errors_of, schema_problems
from pipeline_engine.simulation.drawing import draw

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
def test_a_value_fits_its_schema(schema: Any) -> None:
    """With every seed; the schemas are ones that can be registered."""
    assert not schema_problems(schema)
    for seed in range(30):
        value = draw(schema, str(seed))
        assert not errors_of(schema, value), value


def test_formats_are_honoured() -> None:
    """As far as the checker knows them; others are words."""
    for name in FORMATS:
        assert not errors_of({"type": "string", "format": name}, draw({"format": name}, "1"))


def test_the_seed_decides() -> None:
    """Equal seeds give equal values, others do not all."""
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 3}
    assert draw(schema, "1") == draw(schema, "1")
    assert len({str(draw(schema, str(seed))) for seed in range(10)}) > 1


def test_a_schema_that_asks_for_itself_ends() -> None:
    """A required part of its own kind has no finite value; drawing ends all the same."""
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}}
    assert not errors_of(endless, draw(endless, "1"))
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert draw(circle, "1") == {}
