"""JSON survives the way from the wire into a table and back."""

import json
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.json_values import RESPONSE_DEPTH, fill_struct, fill_value, parse, to_json, to_python
from ordinaut.limits import EXACT_INTEGER

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
EXACT = st.integers(1 - EXACT_INTEGER, EXACT_INTEGER - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)
JSON = st.recursive(
    st.none() | st.booleans() | EXACT | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def value(data: Any) -> Value:
    made = Value()
    fill_value(made, data)
    return Value.FromString(made.SerializeToString())


@given(JSON)
def test_json_is_converted_without_loss(data: Any) -> None:
    """Over the wire and through text."""
    assert parse(to_json(value(data))) == data


def test_integers_are_integers() -> None:
    """A number without a fraction is no float."""
    assert to_json(value([1, 1.0, 1.5, -0.0])) == "[1,1,1.5,0]"


@pytest.mark.parametrize(
    "digits", [str(2**53), str(-(2**53)), str(2**63), str(2**64), "1" + "0" * 30 + "1", "9" * 5000]
)
def test_integers_beyond_53_bits_are_sent_as_text(digits: str) -> None:
    """Every digit of them, also where a parser would round or refuse."""
    assert to_python(value(parse(f'{{"n": [{digits}]}}'))) == {"n": [digits]}


@pytest.mark.parametrize(("digits", "number"), [("1" + "0" * 30, 1e30), ("1e21", 1e21), ("1" + "0" * 17, 1e17)])
def test_large_numbers_with_few_digits_are_numbers(digits: str, number: float) -> None:
    """The database writes 1e30 with all its zeros."""
    assert parse(to_json(value(parse(digits)))) == number


def test_schemas_keep_numbers() -> None:
    """A bound must not become a string when a tool is read and written back."""
    schema = Struct()
    fill_struct(schema, parse('{"maximum": 9223372036854776000, "minimum": -1180591620717411303424}'), rounds=True)
    assert to_python(schema) == {"maximum": 2.0**63, "minimum": -(2.0**70)}


@pytest.mark.parametrize("wrap", [lambda data: {"a": data}, lambda data: [data]])
def test_values_nested_too_deep_for_protobuf_are_sent_as_json_text(wrap: Any) -> None:
    """The levels above it stay what they are, and the whole can be read."""
    data: Any = 1
    for _ in range(60):
        data = wrap(data)
    read = to_python(value(data))
    levels = 0
    while not isinstance(read, str):
        read = read["a"] if isinstance(read, dict) else read[0]
        levels += 1
    assert levels == RESPONSE_DEPTH
    rest = json.loads(read)
    for _ in range(60 - RESPONSE_DEPTH):
        rest = rest["a"] if isinstance(rest, dict) else rest[0]
    assert rest == 1


def test_an_empty_struct_is_set() -> None:
    """`{}` is not the same as nothing."""
    outer = Value()
    fill_struct(outer.struct_value, {})
    assert to_python(outer) == {}
    assert to_json(Struct()) == "{}"
