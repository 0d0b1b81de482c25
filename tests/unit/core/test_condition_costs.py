"""Conditions pay before they work, and their size is limited."""

import time
from typing import Any

import pytest

from ordinaut.expressions import ExpressionError, compile_expression
from ordinaut.expressions.errors import FuelError
from ordinaut.expressions.event_condition import (
    CONDITION_FUEL,
    bound_match,
    is_constant,
    is_constant_match,
    matches_event,
    refuse_size,
    when_problems,
)

MANY = list(range(200_000))
DATA: dict[str, Any] = {
    "many": MANY,
    "text": "a," * 150_000,
    "words": ["word"] * 4000,
    "object": {str(number): number for number in MANY},
    "nested": [[number, [number]] for number in MANY],
}
COSTLY = [
    "sort(data.many)",
    "sum(data.many)",
    "to_json(data.many)",
    "to_json(data)",
    "hash(data.nested)",
    "split(data.text, ',')",
    "split(data.text, '')",
    "join(data.text, data.words)",
    "replace(data.text, 'a', 'bbbb')",
    "keys(data.object)",
    "values(data.object)",
    "reverse(data.many)",
    "data.object.*",
    "data.many[?@ > `0`]",
    "data.nested[][]",
    "map(&@, data.many)",
    "sort_by(data.nested, &[0])",
    "contains(data.many, `7`)",
    "data.many == data.many",
    "data.many[::2]",
    "max(data.many)",
    "merge(data.object, data.object)",
]


@pytest.mark.parametrize("text", COSTLY)
def test_a_costly_operation_ends_before_it_begins(text: str) -> None:
    """In less than a twentieth of the time that it would take."""
    expression = compile_expression(text)
    start = time.thread_time()
    with pytest.raises((FuelError, ExpressionError), match=r"visits|1 MiB"):
        expression.holds({"data": DATA}, None, CONDITION_FUEL)
    assert time.thread_time() - start < 0.005


def test_a_join_never_builds_more_than_a_mebibyte() -> None:
    with pytest.raises(ExpressionError, match="1 MiB"):
        compile_expression("join(data.text, data.words)").evaluate({"data": {**DATA, "words": ["w"] * 100}})


def test_usual_conditions_have_enough() -> None:
    event = {"data": {"lines": [{"sku": "A-7", "count": 3}] * 100}, "subject": "order-1"}
    assert compile_expression("length(data.lines[?count > `2`]) == `100`").holds(event, None, CONDITION_FUEL)


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        ("data.urgent", True),
        ("data.total > `100` && !(data.test)", False),
        ("data.total > `100` || subject == 'A'", True),
        ("data.lines[0].sku == 'A-7'", True),
        ("data.lines[*].sku", False),
        ("data.lines[?a]", False),
        ("length(data.lines)", False),
        ("data.*", False),
        ("[data, data]", False),
        ("data." + "a" * 256, False),
    ],
)
def test_constant_conditions_are_recognised_without_parsing(text: str, constant: bool) -> None:
    assert is_constant(text) is constant


def test_a_match_is_constant_if_all_of_its_expressions_are() -> None:
    assert is_constant_match(bound_match({"data.a": [1, 2], "data.b": 1}, {}))
    assert not is_constant_match(bound_match({"data.a": 1, "length(data.b)": 1}, {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data.a == '" + "x" * 1024 + "'", "at most 1024 characters"),
        ("length([" + ", ".join(["data"] * 101) + "])", "at most 100 nodes"),
    ],
)
def test_the_size_is_limited(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        refuse_size(compile_expression(text))
    with pytest.raises(ExpressionError, match=message):
        when_problems(text)


def test_the_expressions_of_a_match_share_their_fuel() -> None:
    match = bound_match({f"length(data.lines[?n > `{number}`])": 100 for number in range(100)}, {})
    with pytest.raises(FuelError):
        matches_event(match, {"data": {"lines": [{"n": 1000}] * 100}})
    with pytest.raises(FuelError):
        matches_event([2, {f"data.a{number}": None for number in range(6000)}, {}], {"data": {}})
