"""Typed templates: `${expression}` inside JSON values, split once and rendered in one pass.

A string that is exactly one placeholder keeps the value's type; inside text the value is interpolated (objects as JSON,
true as `true`). `$${` stands for a literal `${`. The result of a placeholder is never parsed as a template again: data
from a tool or an event cannot inject an expression.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ordinaut.expressions import Account, Expression, ExpressionError, Kind, compile_expression
from ordinaut.expressions.semantics import CURRENT, FIRST
from ordinaut.limits import MAX_JSON_BYTES

Roots = Mapping[str, Any]
Render = Callable[[Roots, Account], Any]
"""Renders a value from the root names; its cost is charged to the run's account."""
_SPECIAL = re.compile(r"\$\$\{|\$\{")
_INSIDE = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`|[{}]""")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `${…}` of a text: `start` and `end` delimit the expression between the braces."""

    expression: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled JSON value. A `constant` one contains no placeholder, and `render` returns it unchanged.

    `render` raises ExpressionError.
    """

    render: Render
    constant: bool
    expressions: tuple[Expression, ...]


def split(text: str) -> list[str | Placeholder]:
    """Splits a text into literal parts and placeholders, in order.

    >>> split("Hello ${params.name}!")
    ['Hello ', Placeholder(expression='params.name', start=8, end=19), '!']
    >>> split("$${HOME}")
    ['${', 'HOME}']

    Raises:
        ExpressionError: a placeholder is not closed, or is nested in another.
    """
    parts: list[str | Placeholder] = []
    place = 0
    for start, word in _specials(text):
        if start < place:
            continue
        parts.append(text[place:start])
        if word == "$${":
            parts.append("${")
            place = start + 3
        else:
            end = _closing(text, start + 2)
            parts.append(Placeholder(text[start + 2 : end].strip(), start + 2, end))
            place = end + 1
    parts.append(text[place:])
    return [part for part in parts if part != ""]


def _specials(text: str) -> Iterator[tuple[int, str]]:
    return ((match.start(), match.group()) for match in _SPECIAL.finditer(text))


def _closing(text: str, start: int) -> int:
    depth = 1
    for match in _INSIDE.finditer(text, start):
        depth += (match.group() == "{") - (match.group() == "}")
        if match.group() == "{" and text[match.start() - 1] == "$":
            raise ExpressionError(Kind.SYNTAX, "a placeholder cannot be nested inside another")
        if depth == 0:
            return match.start()
    raise ExpressionError(Kind.SYNTAX, "`${` is not closed by `}`; write `$${` for a literal `${`")


def compile_template(value: Any, semantics: int = CURRENT) -> Template:
    """Compiles a JSON value with placeholders in its strings; keys are literal.

    >>> template = compile_template({"to": "${params.city}", "text": "${params.n} events in ${params.city}"})
    >>> template.render({"params": {"city": "Porto", "n": 2}}, Account())
    {'to': 'Porto', 'text': '2 events in Porto'}

    A string that is one placeholder keeps the type of its value:

    >>> compile_template("${params.n}").render({"params": {"n": 2}}, Account())
    2

    `semantics` is the revision of the meaning of expressions.

    Raises:
        ExpressionError: a placeholder cannot be parsed.
    """
    expressions: list[Expression] = []
    render = _Compiler(expressions, semantics).compile(value)
    if render is None:
        return Template(lambda _roots, _account: value, constant=True, expressions=())
    return Template(render, constant=False, expressions=tuple(expressions))


@dataclass(frozen=True, slots=True)
class _Compiler:
    expressions: list[Expression]
    semantics: int

    def compile(self, value: Any) -> Render | None:
        """Returns the renderer of a value; None when the value contains no placeholder."""
        if isinstance(value, str):
            return self._text(value) if "${" in value else None
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return self._array(value)
        return None

    def _object(self, value: dict[str, Any]) -> Render | None:
        renders = {key: render for key, item in value.items() if (render := self.compile(item))}
        if not renders:
            return None
        if len(renders) == len(value):
            parts = tuple(renders.items())
            return lambda roots, account: {key: render(roots, account) for key, render in parts}
        changing = tuple(renders.items())

        def mixed(roots: Roots, account: Account) -> dict[str, Any]:
            result = value.copy()
            for key, render in changing:
                result[key] = render(roots, account)
            return result

        return mixed

    def _array(self, value: list[Any]) -> Render | None:
        renders = [(place, render) for place, item in enumerate(value) if (render := self.compile(item))]
        if not renders:
            return None

        def render_all(roots: Roots, account: Account) -> list[Any]:
            result = value.copy()
            for place, render in renders:
                result[place] = render(roots, account)
            return result

        return render_all

    def _text(self, text: str) -> Render | None:
        parts: list[str | Expression] = []
        for part in split(text):
            if isinstance(part, str):
                parts.append(part)
            else:
                expression = compile_expression(part.expression, strict=True, semantics=self.semantics)
                self.expressions.append(expression)
                parts.append(expression)
        if len(parts) == 1 and not isinstance(parts[0], str):
            return parts[0].evaluate

        inserted = _inserted if self.semantics > FIRST else _inserted_or_null

        def join(roots: Roots, account: Account) -> str:
            words: list[str] = []
            size = 0
            for part in parts:
                # One input may contain thousands of placeholders that each insert a large value. The text is charged
                # and measured while it grows, so that such an input fails before it uses the memory and the event loop.
                word = part if isinstance(part, str) else inserted(part, roots, account)
                words.append(word)
                size += len(word)
                account.spend_on_text(len(word))
                if size > MAX_JSON_BYTES:
                    raise ExpressionError(Kind.LIMIT, "a rendered text must be at most 1 MiB")
            return "".join(words)

        return join


def _inserted(part: Expression, roots: Roots, account: Account) -> str:
    """The text of a placeholder inside a longer text; null is an error, because `Hello null` is never intended."""
    value = part.evaluate(roots, account)
    if value is None:
        expression = part.text[:200]
        raise ExpressionError(
            Kind.MISSING, f"{expression} is null and cannot be inserted into text; use default({expression}, …)"
        )
    return to_text(value)


def _inserted_or_null(part: Expression, roots: Roots, account: Account) -> str:
    return to_text(part.evaluate(roots, account))


def to_text(value: Any) -> str:
    """Returns a value as it is interpolated into text: strings unchanged, null as `null`, all else as JSON.

    Raises:
        ExpressionError: the value cannot be written as JSON.
    """
    if type(value) is str:
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError as failure:
        raise ExpressionError(Kind.VALUE, f"the value cannot be written as JSON: {failure}") from None
