"""What looks like plain text and is an expression or a tag of another system is never mailed as it is."""

from typing import Any

import pytest

from gateway.drafts.reading.text import read_text
from gateway.drafts.reading.yaml import UnreadableError
from ordinaut.expressions.foreign.scope import Scope
from ordinaut.expressions.foreign.templates import rewrite_text

SCOPE = Scope(steps={"w": "w"}, outputs={"w": ["temp"]}, params=["city"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('!sub "It is ${x}"', "It is ${x}"),
        ("!Ref city", "${city}"),
        ("!GetAtt w.temp", "${w.temp}"),
        ("!expr steps.w.temp", "${steps.w.temp}"),
        ("!secret mail_key", "${secrets.mail_key}"),
        ("!env 'MAIL_KEY'", "${secrets.MAIL_KEY}"),
        ("[!Ref city, x]", ["${city}", "x"]),
        ("{b: !Sub 'a ${x}'}", {"b": "a ${x}"}),
        ("'x !sub y'", "x !sub y"),
        ("hello !you there", "hello !you there"),
        ("!!! urgent", "!!! urgent"),
        ("!!str 5", "5"),
    ],
)
def test_a_tag_is_read(text: str, value: Any) -> None:
    assert read_text(f"steps: 1\na: {text}\n").documents[0]["a"] == value


@pytest.mark.parametrize("text", ["!include other.yaml", "!file body.txt", "!import x"])
def test_a_file_is_not_available(text: str) -> None:
    with pytest.raises(UnreadableError, match="tag"):
        read_text(f"steps: 1\na: {text}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'It is ' + steps.w.temp + ' in ' + params.city",
         "${join('', ['It is ', to_string(steps.w.temp), ' in ', to_string(params.city)])}"),
        ('"a" ~ steps.w.temp', "${join('', ['a', to_string(steps.w.temp)])}"),
        ("steps.w.temp + ' degrees'", "${join('', [to_string(steps.w.temp), ' degrees'])}"),
        ("concat('It is ', steps.w.temp)", "${join('', ['It is ', to_string(steps.w.temp)])}"),
        ("'a' + 'b'", "'a' + 'b'"),
        ("'salt', 'pepper' + more", "'salt', 'pepper' + more"),
        ("She said 'hi' + left", "She said 'hi' + left"),
        ("1 + 'x'", "1 + 'x'"),
    ],
)  # fmt: skip
def test_a_joined_text_is_an_expression_if_it_reads_something_known(text: str, expected: str) -> None:
    result = rewrite_text(text, SCOPE)
    assert result.text == expected
    assert not (result.certain and text != expected)


def test_a_joined_text_with_an_unknown_function_is_a_problem() -> None:
    assert rewrite_text("'It is ' + steps.w.temp.toFixed(1)", SCOPE).problems
