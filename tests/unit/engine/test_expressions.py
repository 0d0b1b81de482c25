"""Expressions: documented forms, errors with repairs, limits."""

import hashlib
from contextlib import suppress
from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordinaut.expressions import ExpressionError, Kind, compile_expression
from tests.sample import FULL

ROOTS: dict[str, Any] = {
    "now": "2026-11-23T14:00:00Z",
    "params": {"min": 2, "big": "x" * 100_000, "list": list(range(2000)), "when": "2026-11-23T15:00:00+01:00"},
    "steps": {
        "x": {"temp": 30, "ok": True, "off": False, "none": None, "a-b": 1, "name": "Ada"},
        "l": {"e": [{"days": 3, "n": "a"}, {"days": 1, "n": "b"}, {"days": 2, "n": "c", "params": {"min": 99}}]},
    },
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("now+24h", "2026-11-24T14:00:00Z"),
        ("now - 1d + 9h30m", "2026-11-22T23:30:00Z"),
        ("start_of_day(now, 'Europe/Berlin')+9h", "2026-11-23T08:00:00Z"),
        ("start_of_day('2018-11-04T12:00:00Z', 'America/Sao_Paulo')", "2018-11-04T03:00:00Z"),
        ("format_time(now, '%H:%M', 'Asia/Tokyo')", "23:00"),
        ("age('2026-11-23T13:00:00Z', now)", 3600.0),
        ("now == plus_time(params.when, 0s)", True),
        ("now >= params.when && now < '2027-01-01T00:00:00+02:00'", True),
        ("steps.x.temp > 25", True),
        ("steps.x.temp > -5", True),
        ("steps.x.temp == 30.0", True),
        ("steps.x.ok == true", True),
        ("steps.x.ok == `1`", False),
        ("steps.x.none == null", True),
        ("!(steps.x.ok)", False),
        ("!contains(steps.x.name, 'z')", True),
        ('steps.x."a-b"', 1),
        ("steps.l.e[?days >= params.min].n", ["a"]),
        ("steps.l.e[-1].n", "c"),
        ("steps.l.e[0:2].n", ["a", "b"]),
        (
            "steps.l.e[].{n: n, m: params.min, t: true}",
            [{"n": n, "m": 99 if n == "c" else 2, "t": True} for n in "abc"],
        ),
        ("sort_by(steps.l.e, &days)[*].n", ["b", "c", "a"]),
        ("max_by(steps.l.e, &days).n", "a"),
        ("map(&add(days, 1), steps.l.e)", [4, 2, 3]),
        ("default(steps.x.nix, 'w')", "w"),
        ("steps.x.nix || 'w'", "w"),
        ("length(steps.l.e)", 3),
        ("join(', ', steps.l.e[*].n)", "a, b, c"),
        ("join_lines(split('a,b', ','))", "a\nb"),
        ("from_json(to_json(steps.x)).temp", 30),
        ("upper(replace(steps.x.name, 'd', 'b'))", "ABA"),
        ("div(mul(params.min, 5), 4)", 2.5),
        ("hash(steps.x.name)", hashlib.sha256(b'"Ada"').hexdigest()),
    ],
)
def test_values_of_expressions(text: str, value: Any) -> None:
    """Documented forms, including those with another meaning in JMESPath."""
    assert compile_expression(text, strict=True).evaluate(ROOTS) == value


@pytest.mark.parametrize(
    ("text", "kind", "repaired"),
    [
        ('steps.x.name == "Ada"', Kind.AMBIGUOUS, "steps.x.name == 'Ada'"),
        ('steps.l.e[?n == "a"]', Kind.AMBIGUOUS, "steps.l.e[?n == 'a']"),
        ("!steps.x.ok", Kind.AMBIGUOUS, "!(steps.x.ok)"),
        ("!steps.x.ok && steps.x.off", Kind.AMBIGUOUS, "!(steps.x.ok) && steps.x.off"),
        ("steps.x.a-b", Kind.AMBIGUOUS, 'steps.x."a-b"'),
        ("steps.x.ok = true", Kind.SYNTAX, "steps.x.ok == true"),
        ("steps.x.ok === true", Kind.SYNTAX, "steps.x.ok == true"),
        ("steps.x.ok or steps.x.off", Kind.SYNTAX, "steps.x.ok || steps.x.off"),
        ("steps.x.temp + 1", Kind.SYNTAX, None),
        ("lenght(now)", Kind.SYNTAX, None),
        ("length(now, now)", Kind.SYNTAX, None),
        ("steps.x.'name'", Kind.SYNTAX, None),
        ("steps..x", Kind.SYNTAX, None),
        ("(now", Kind.SYNTAX, None),
        ("now]", Kind.SYNTAX, None),
        ("'open", Kind.SYNTAX, None),
        ("", Kind.SYNTAX, None),
        ("@", Kind.SYNTAX, None),
        ("&now", Kind.SYNTAX, None),
        ("a" * 4097, Kind.LIMIT, None),
        ("[" * 200 + "a" + "]" * 200, Kind.LIMIT, None),
        ("||".join(["a"] * 900), Kind.LIMIT, None),
    ],
)
def test_ambiguous_expressions_are_errors_with_repairs(text: str, kind: Kind, repaired: str | None) -> None:
    """Ambiguous expressions are never evaluated."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert (caught.value.kind, caught.value.repaired) == (kind, repaired)
    if repaired:
        compile_expression(repaired)


@pytest.mark.parametrize(
    "text",
    [
        "[params.big, params.big] | [@, @] | [@, @] | [@, @] | [@, @]",
        "replace(params.big, 'x', params.big)",
        "join(params.big, map(&'y', params.list))",
        "join('', map(&params.big, params.list))",
        "to_json(map(&params.big, params.list))",
        "map(&params.big, params.list) == map(&params.big, params.list)",
        "params.list[*].[params.list][][]",
        " | ".join(["now"] + ["[@, @]"] * 40),
        "mul(" * 40 + "`9999999999`" + ", `9999999999`)" * 40,
        "to_number('1e999')",
    ],
)
def test_size_limits(text: str) -> None:
    """Size, cost and numbers are limited, and checked before memory is used."""
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate(ROOTS)
    assert caught.value.kind in {Kind.LIMIT, Kind.VALUE}


def test_a_missing_path_is_an_error_only_if_strict() -> None:
    """The message lists the existing names."""
    assert compile_expression("steps.x.nix").evaluate(ROOTS) is None
    for text in ("steps.x.nix", "length(steps.x.nix)", "{a: steps.x.nix}", "steps.x.nix.more", "steps.l.e[9]"):
        with pytest.raises(ExpressionError) as caught:
            compile_expression(text, strict=True).evaluate(ROOTS)
        assert caught.value.kind is Kind.MISSING
        assert "default(" in caught.value.message


def test_references_are_collected() -> None:
    """The paths from the roots, for validation when a task is saved."""
    expression = compile_expression("steps.l.e[?days > params.min].n || steps.x.name")
    assert set(expression.references) == {("steps", "l", "e"), ("steps", "x", "name")}
    assert "params" in expression.names


PIECES = st.sampled_from(
    [
        "now",
        "steps",
        "params",
        ".",
        "x",
        "[0]",
        "[*]",
        "[]",
        "[?",
        "]",
        "(",
        ")",
        "{",
        "}",
        "a:",
        ",",
        "@",
        "&",
        "|",
        "||",
        "&&",
        "!",
        "==",
        "<",
        "+",
        "-",
        "24h",
        "1",
        "'t'",
        '"q"',
        "`1`",
        "length",
        "sort_by",
        "default",
        " ",
        "true",
        "$",
        "\\",
        "é",
    ]
)


@settings(max_examples=400 if FULL else 60)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_arbitrary_text_raises_no_other_error(text: str) -> None:
    """The outcome is a value or an ExpressionError."""
    for strict in (True, False):
        with suppress(ExpressionError):
            compile_expression(text, strict=strict).evaluate(ROOTS)


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)
PLAIN = st.recursive(
    NAMES | st.sampled_from(["`1`", "'a'"]),
    lambda inner: st.one_of(
        st.tuples(inner, NAMES).map(lambda pair: f"({pair[0]}).{pair[1]}"),
        inner.map(lambda text: f"({text})[0]"),
        inner.map(lambda text: f"({text})[*].a"),
        inner.map(lambda text: f"({text})[]"),
        inner.map(lambda text: f"({text}).*"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) || ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) && ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) == ({pair[1]})"),
        inner.map(lambda text: f"!({text})"),
        inner.map(lambda text: f"({text})[0:2]"),
        inner.map(lambda text: f"not_null({text}, `0`)"),
    ),
    max_leaves=5,
)


@settings(max_examples=300 if FULL else 60)
@given(PLAIN, st.dictionaries(NAMES, VALUES, max_size=3))
def test_agreement_with_jmespath(text: str, roots: dict[str, Any]) -> None:
    """Except for intended differences, the reference implementation agrees."""
    assert compile_expression(text).evaluate(roots) == jmespath.search(text, roots)


@pytest.mark.parametrize(
    "text",
    [
        "params.many[?" + " && ".join(["contains('abc', 'b')"] * 60) + "]",
        "map(&keys(params.wide), params.many)",
        "map(&reverse(params.many), params.many)",
        "map(&params.many[0:], params.many)",
        "params.many[?params.text == params.same]",
        "params.many[?params.text < params.same]",
        "params.many[*].[params.many[?@ > params.n]]",
    ],
)
def test_cost_limits(text: str) -> None:
    """Expressions with much work on many elements exceed their fuel."""
    params = {
        "many": list(range(50_000)),
        "wide": {str(number): number for number in range(5_000)},
        "text": "x" * 500_000 + "a",
        "same": "x" * 500_000 + "a",
        "n": -1,
    }
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate({"params": params})
    assert caught.value.kind is Kind.LIMIT
