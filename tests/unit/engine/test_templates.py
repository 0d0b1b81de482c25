"""Templates keep types, interpolate text, and are rendered exactly once."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordinaut.expressions import Account, ExpressionError, Kind
from pipeline_engine.data.payload import PayloadError, read, write
from pipeline_engine.data.template import compile_template
from tests.sample import FULL

ROOTS: dict[str, Any] = {"params": {"n": 1, "t": True, "o": {"a": [1]}, "z": None, "s": "text", "again": "${params.n}"}}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("${params.n}", 1),
        ("${ params.o }", {"a": [1]}),
        (
            "n=${params.n} t=${params.t} o=${params.o} z=${params.z} s=${params.s}",
            'n=1 t=true o={"a":[1]} z=null s=text',
        ),
        ("$${params.n} and $$", "${params.n} and $$"),
        ("a $${x} ${params.n}", "a ${x} 1"),
        ("${params.again}", "${params.n}"),
        ("x ${params.again}", "x ${params.n}"),
        ("{{ ''.__class__.__mro__ }}", "{{ ''.__class__.__mro__ }}"),
        ("${ {k: params.n} }", {"k": 1}),
        ("${'}'}", "}"),
        ({"a": ["${params.n}", {"b": "${params.s}!"}], "c": 5}, {"a": [1, {"b": "text!"}], "c": 5}),
    ],
)
def test_templates_render(template: Any, value: Any) -> None:
    """A single placeholder keeps its type; results are not rendered again."""
    assert compile_template(template).render(ROOTS, Account()) == value


@pytest.mark.parametrize("template", ["${", "${params.n", "${a${b}}", "${}", "a ${ } b", "x ${'a}"])
def test_malformed_templates_are_rejected(template: str) -> None:
    """At compile time."""
    with pytest.raises(ExpressionError) as caught:
        compile_template(template)
    assert caught.value.kind is Kind.SYNTAX


def test_constant_templates_are_detected() -> None:
    """They are not rendered."""
    value = {"a": ["x", 1, "$"]}
    template = compile_template(value)
    assert template.constant
    assert template.render({}, Account()) is value


def test_rendering_does_not_change_the_document() -> None:
    """Each run gets separate values."""
    document = {"a": ["${params.n}", 2], "b": {"c": "${params.s}"}}
    before = orjson.dumps(document)
    template = compile_template(document)
    template.render(ROOTS, Account())["a"].append(3)
    assert orjson.dumps(document) == before
    assert template.render(ROOTS, Account()) == {"a": [1, 2], "b": {"c": "text"}}


@settings(max_examples=200 if FULL else 60)
@given(st.text(alphabet="${}'\"` an.x", max_size=20))
def test_any_text_renders_or_raises_an_expression_error(text: str) -> None:
    with suppress(ExpressionError):
        compile_template(text).render({"a": {"n": 1}, "x": "${a}"}, Account())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30).filter(lambda text: "$" not in text and "\0" not in text))
def test_rendered_values_are_never_templates(value: str) -> None:
    hostile = "${params.n} $${" + value
    assert compile_template("${v}").render({"v": hostile}, Account()) == hostile
    assert compile_template("<${v}>").render({"v": hostile}, Account()) == f"<{hostile}>"


@pytest.mark.parametrize(
    ("text", "large"),
    [
        (b"NaN", False),
        (b'"\\ud800"', False),
        (b'"\\u0000"', False),
        (b'{"\\u0000": 1}', False),
        (b"1e400", False),
        (b"18446744073709551616", False),
        (b"[-9223372036854775809]", False),
        (b"[" * 65 + b"]" * 65, True),
        (b"[" * 5000 + b"]" * 5000, False),
        (b'"' + b"x" * (1024 * 1024) + b'"', True),
        (b"<html>", False),
        (b"\xff", False),
    ],
)
def test_json_that_cannot_be_stored_is_rejected(text: bytes, large: bool) -> None:
    """Responses that PostgreSQL or a reader rejects, or that would be rounded."""
    with pytest.raises(PayloadError) as caught:
        read(text)
    assert caught.value.too_large is large


def test_json_is_stored_exactly() -> None:
    """Large integers, long fractions, escaped strings."""
    for text in (b"18446744073709551615", b"-9223372036854775808", b'"\\\\u0000"', b"[" * 64 + b"]" * 64):
        assert write(read(text)) == text
    assert read(b"0.12345678901234567890123") == pytest.approx(0.123456789012345678)
    assert read(b'"12345678901234567890123"') == "12345678901234567890123"
    assert read(b"") is None
