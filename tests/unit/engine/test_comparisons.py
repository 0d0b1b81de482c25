"""Comparisons in expressions: values of one type are compared, values of different types are an error."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.expressions import ExpressionError, Kind, compile_expression
from ordinaut.expressions.semantics import FIRST

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "number": st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False, width=32),
    "string": st.text("ab5 ", max_size=3),
    "boolean": st.booleans(),
    "array": st.lists(st.integers(0, 2), max_size=2),
    "object": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
}
ORDERED = ("number", "string")
TYPED = st.sampled_from(sorted(BY_TYPE)).flatmap(lambda name: st.tuples(st.just(name), BY_TYPE[name]))
EQUALITIES, ORDERINGS = st.sampled_from(["==", "!="]), st.sampled_from(["<", "<=", ">", ">="])


def compared(sign: str, first: Any, second: Any) -> Any:
    """The result of a comparison of two params."""
    return compile_expression(f"params.a {sign} params.b").evaluate({"params": {"a": first, "b": second}})


@given(st.sampled_from(sorted(OPERATORS)), TYPED, TYPED)
def test_only_values_of_one_type_are_compared(sign: str, first: tuple[str, Any], second: tuple[str, Any]) -> None:
    """Python compares values of one type; every other pair is an error that names both types."""
    (first_type, a), (second_type, b) = first, second
    if first_type == second_type and (sign in {"==", "!="} or first_type in ORDERED):
        assert compared(sign, a, b) == OPERATORS[sign](a, b)
        return
    with pytest.raises(ExpressionError) as caught:
        compared(sign, a, b)
    assert caught.value.kind is Kind.VALUE
    assert first_type in caught.value.message
    assert "params.a and params.b" in caught.value.message
    if first_type != second_type and sign in {"==", "!="}:
        assert second_type in caught.value.message


@given(TYPED, EQUALITIES, ORDERINGS)
def test_null_equals_only_null_and_has_no_order(typed: tuple[str, Any], equality: str, ordering: str) -> None:
    """A comparison with null is no error, because a missing path is null."""
    value = typed[1]
    assert compared(equality, value, None) is compared(equality, None, value) is (equality == "!=")
    assert compared(equality, None, None) is (equality == "==")
    assert compared(ordering, value, None) is compared(ordering, None, value) is compared(ordering, None, None) is None


ROOTS = {
    "params": {"limit": "25", "n": 30, "flag": True, "days": [{"t": 18}, {"t": "25"}, {}], "mixed": [1, "1"]},
    "data": {"n": 5},
}


@pytest.mark.parametrize(
    "text",
    [
        "params.n > params.limit",
        "params.limit < params.n",
        "params.n == '30'",
        "params.n != '30'",
        "'30' == params.n",
        "params.flag == 'true'",
        "params.flag == 1",
        "params.flag > false",
        "params.days == 'x'",
        "params.days > 1",
        "params.days[?t > 20]",
        "params.days[?t == '25']",
        "params.mixed[?@ == '1']",
        "params.days[*].t | [?@ >= 20]",
        "map(&(t > 20), params.days)",
        "!(params.n > params.limit)",
        "false || params.n > params.limit",
        "{a: params.n > params.limit}",
        "length(params.days) == '3'",
        "data.n == '5' || true",
    ],
)
def test_siblings_of_a_comparison_of_different_types(text: str) -> None:
    """In every place; the first revision keeps its results."""
    with pytest.raises(ExpressionError, match=r"cannot compare a|can be ordered"):
        compile_expression(text).evaluate(ROOTS)
    compile_expression(text, semantics=FIRST).evaluate(ROOTS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("to_number(params.limit) < params.n", True),
        ("to_string(params.n) == '30'", True),
        ("params.days[?to_number(t) > `20`].t", ["25"]),
        ("params.days[?type(t) == 'number' && t > `10`].t", [18]),
        ("params.none > 5", None),
        ("params.none == null && params.n != null", True),
        ("params.none != 'a'", True),
        ("false && params.n > params.limit", False),
        ("params.n >= 30.0", True),
    ],
)
def test_comparisons_that_can_be_written(text: str, value: Any) -> None:
    """Conversions, checks of types and null."""
    assert compile_expression(text).evaluate(ROOTS) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        (" -1.5e2 ", -150.0),
        ("9007199254740993", 9007199254740993),
        ("18446744073709551615", 2**64 - 1),
        ("1_000", None),
        ("nan", None),
        ("0x10", None),
        ("\u0663", None),
        ("", None),
        ("abc", None),
        (True, None),
        ([5], None),
    ],
)
def test_to_number_reads_decimal_numbers(text: Any, number: float | None) -> None:
    """Exactly; other values are null, as in JMESPath."""
    result = compile_expression("to_number(params.x)").evaluate({"params": {"x": text}})
    assert (result, type(result)) == (number, type(number))


@pytest.mark.parametrize("text", ["9007199254740993", "[18446744073709551615]", '{"a": -9223372036854775808}'])
def test_from_json_keeps_integers_of_64_bits(text: str) -> None:
    """An integer beyond 2^53 is not rounded."""
    assert compile_expression("to_json(from_json(params.x))").evaluate({"params": {"x": text}}) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "12345678901234567890123",
        "1" + "0" * 300,
    ],
)
@pytest.mark.parametrize("function", ["from_json", "to_number"])
def test_larger_integers_are_refused(text: str, function: str) -> None:
    """They would be rounded to a float."""
    for nested in (text, f'{{"a": [1, {text}]}}')[: 2 if function == "from_json" else 1]:
        with pytest.raises(ExpressionError, match="must fit in 64 bits"):
            compile_expression(f"{function}(params.x)").evaluate({"params": {"x": nested}})


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("'${params.x}' != 'a'", "params.x != 'a'"),
        ("${params.x} > 5", "params.x > 5"),
        ('steps.a.b == "${params.x}"', "steps.a.b == params.x"),
        ("`\"${params.x}\"` == 'a'", "params.x == 'a'"),
        ("'${params.a}' == '${ params.b }'", "params.a == params.b"),
        ("'${params.a || params.b}' == 'x'", "(params.a || params.b) == 'x'"),
        ("steps.l[?n == '${params.x}'].m", "steps.l[?n == params.x].m"),
        ("'id-${params.n}' == steps.a.id", "join('', ['id-', to_string(params.n)]) == steps.a.id"),
        ("length('${params.x}') > `1`", "length(params.x) > `1`"),
        ("'${steps.a.list[0]}'", "steps.a.list[0]"),
    ],
)
def test_placeholders_in_expressions_are_refused(text: str, repaired: str) -> None:
    """The repair refers to the value, so that no value can become part of the expression."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert (caught.value.kind, caught.value.repaired) == (Kind.AMBIGUOUS, repaired)
    compile_expression(repaired)
