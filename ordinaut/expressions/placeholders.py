"""Refuses placeholders inside an expression, where they would be text or would splice data into the expression."""

import re
from collections.abc import Sequence

from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.tokens import Token

_PLACEHOLDER = re.compile(r"(?<!\$)\$\{([^{}]+)\}")
_SIMPLE = re.compile(r"""[A-Za-z_][\w.\[\]"@-]*""", re.ASCII)
_QUOTED = frozenset({"raw", "quoted", "literal"})


def refuse_placeholders(text: str, tokens: Sequence[Token]) -> None:
    """Checks the tokens of an expression.

    Raises:
        ExpressionError: AMBIGUOUS, with the values as operands instead of placeholders.
    """
    repaired: list[str] = []
    place = 0
    for index, token in enumerate(tokens):
        if token.start < place:
            continue
        replacement, end = _replacement(text, tokens, index)
        if replacement is not None:
            repaired += [text[place : token.start], replacement]
            place = end
    if place:
        raise ExpressionError(
            Kind.AMBIGUOUS,
            "an expression cannot contain a placeholder `${…}`: refer to the value without quotes and `${}`, "
            "such as params.x != 'a'",
            "".join([*repaired, text[place:]]),
            "Refers to the value instead of inserting its text.",
        )


def _replacement(text: str, tokens: Sequence[Token], index: int) -> tuple[str | None, int]:
    """The operand for a token that contains or begins a placeholder, and its end in the text."""
    token = tokens[index]
    if token.kind in _QUOTED and _PLACEHOLDER.search(token.text):
        return _operand_of_string(token.text), token.end
    if token.text == "$" and (match := _PLACEHOLDER.match(text, token.start)) is not None:
        return _operand(match[1]), match.end()
    return None, token.end


def _operand_of_string(quoted: str) -> str:
    """The operand with the same value as a string that contains placeholders.

    >>> _operand_of_string("'${params.x}'")
    'params.x'
    >>> _operand_of_string("'order-${params.n}'")
    "join('', ['order-', to_string(params.n)])"
    """
    inner = quoted[1:-1].strip('"') if quoted[0] == "`" else quoted[1:-1]
    whole = _PLACEHOLDER.fullmatch(inner.strip())
    if whole is not None:
        return _operand(whole[1])
    if quoted[0] != "'":
        inner = inner.replace("'", "\\'")
    parts = [
        f"to_string({part.strip()})" if number % 2 else f"'{part}'"
        for number, part in enumerate(_PLACEHOLDER.split(inner))
        if part
    ]
    return f"join('', [{', '.join(parts)}])"


def _operand(expression: str) -> str:
    stripped = expression.strip()
    return stripped if _SIMPLE.fullmatch(stripped) else f"({stripped})"
