"""Rejects expressions that are valid JMESPath, but do not mean what their author most likely intends.

Each error carries the repaired expression where the intention is certain.
"""

import json
from collections.abc import Sequence

from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.tokens import Token, is_operand_end

WORD_OPERATORS = {"and": "&&", "or": "||", "not": "!"}


def refuse_traps(text: str, tokens: Sequence[Token]) -> None:
    """Checks the tokens of an expression.

    Raises:
        ExpressionError: AMBIGUOUS, or SYNTAX for operators of other languages, with the repaired expression.
    """
    # The parser of JMESPath accepts the first three without an error, so the checks run on tokens before it:
    #   name == "Ana"   double quotes make an identifier: this compares with the field Ana, which is usually null
    #   `abc`           is not JSON, but is read as the string abc for compatibility with old versions
    #   !steps.a.ok     `!` binds tighter than `.`: (!steps).a.ok is always null
    #   steps.my-step   `-` is not part of a name, and the parser would complain about a subtraction
    # Operators of other languages (`=`, `===`, `and`, `or`) fail in the parser too, but its message has no repair.
    for index, token in enumerate(tokens):
        _refuse_operators(text, tokens, index)
        if token.kind == "quoted" and _is_lone_quoted(tokens, index):
            inner = token.text[1:-1].replace("'", "\\'")
            raise ExpressionError(
                Kind.AMBIGUOUS,
                f"{token.text} in double quotes is a field name, not a string: write '{inner}'",
                _replace(text, token.start, token.end, f"'{inner}'"),
                "Writes the string in single quotes.",
            )
        if token.kind == "literal":
            _refuse_loose_literal(text, token)
        if token.text == "!":
            _refuse_loose_not(text, tokens, index)
        if token.text == "-":
            _refuse_hyphen(text, tokens, index)


def _refuse_operators(text: str, tokens: Sequence[Token], index: int) -> None:
    token = tokens[index]
    between = 0 < index < len(tokens) - 1 and is_operand_end(tokens[index - 1])
    third = token.text == "=" and index > 0 and tokens[index - 1].text == "=="
    if (token.text == "=" and between) or third:
        replacement = "" if third else "=="
        raise ExpressionError(
            Kind.SYNTAX,
            "`=` is not an operator: write `==`",
            _replace(text, token.start, token.end, replacement),
            "Writes `==`.",
        )
    if token.text in {"and", "or"} and token.kind == "name" and between and _starts_value(tokens[index + 1]):
        operator = WORD_OPERATORS[token.text]
        raise ExpressionError(
            Kind.SYNTAX,
            f"`{token.text}` is not an operator: write `{operator}`",
            _replace(text, token.start, token.end, operator),
            f"Writes `{operator}`.",
        )


def _starts_value(token: Token) -> bool:
    return token.kind not in {"operator", "duration"} or token.text in {"!", "(", "@", "["}


def _is_lone_quoted(tokens: Sequence[Token], index: int) -> bool:
    before = tokens[index - 1].text if index else ""
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return before != "." and not (after == ":" and tokens[index].inside == "{")


def _refuse_loose_literal(text: str, token: Token) -> None:
    """Rejects text in backticks that is not JSON, which JMESPath reads as a string with a deprecation warning."""
    inner = token.text[1:-1].replace("\\`", "`")
    try:
        json.loads(inner)
    except (ValueError, RecursionError):
        words = inner.strip().replace("'", "\\'")
        raise ExpressionError(
            Kind.AMBIGUOUS,
            f"{token.text[:64]} is not JSON: write the string as '{words[:64]}'",
            _replace(text, token.start, token.end, f"'{words}'"),
            "Writes the string in single quotes.",
        ) from None


def _refuse_loose_not(text: str, tokens: Sequence[Token], index: int) -> None:
    end = _path_end(tokens, index + 1)
    if end is None:
        return
    inner = text[tokens[index + 1].start : tokens[end].end]
    raise ExpressionError(
        Kind.AMBIGUOUS,
        f"`!{inner}` means `(!{tokens[index + 1].text}).…`: write `!({inner})`",
        _replace(text, tokens[index].end, tokens[end].end, f"({inner})"),
        "Puts the path in brackets.",
    )


def _path_end(tokens: Sequence[Token], index: int) -> int | None:
    """The index of the last token of a dotted path that starts at `index`; otherwise None."""
    if index >= len(tokens) or tokens[index].kind not in {"name", "quoted"}:
        return None
    dotted, end = False, index
    while end + 1 < len(tokens):
        following = tokens[end + 1].text
        if following == "." and end + 2 < len(tokens) and tokens[end + 2].kind in {"name", "quoted"}:
            dotted, end = True, end + 2
        elif following == "[" and end + 3 < len(tokens) and tokens[end + 3].text == "]":
            end += 3
        else:
            break
    return end if dotted else None


def _refuse_hyphen(text: str, tokens: Sequence[Token], index: int) -> None:
    if not 0 < index < len(tokens) - 1:
        return
    first, hyphen, last = tokens[index - 1 : index + 2]
    joined = first.end == hyphen.start and hyphen.end == last.start
    if not (joined and first.kind == "name" and last.kind == "name"):
        return
    start, end = first, last
    place = index + 1
    while place + 2 < len(tokens) and tokens[place + 1].text == "-" and tokens[place + 2].kind == "name":
        place, end = place + 2, tokens[place + 2]
    name = text[start.start : end.end]
    dotted = index >= 2 and tokens[index - 2].text == "."
    repaired = _replace(text, start.start, end.end, f'"{name}"') if dotted else None
    raise ExpressionError(
        Kind.AMBIGUOUS,
        f'a name with hyphens must be quoted: write `"{name}"` instead of `{name}`',
        repaired,
        "Quotes the name with hyphens.",
    )


def _replace(text: str, start: int, end: int, replacement: str) -> str:
    return text[:start] + replacement + text[end:]
