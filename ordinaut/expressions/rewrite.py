"""Rewrites expressions to standard JMESPath without changing their meaning.

`now+24h`, `temp > 25` and `x == true` are rewritten. Expressions to which JMESPath gives another meaning without an
error are rejected by `traps`.
"""

from collections.abc import Sequence

from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.tokens import Token, is_operand_end

CONSTANTS = frozenset({"true", "false", "null"})
SHIFTS = {"+": "plus_time", "-": "minus_time"}


def to_jmespath(tokens: Sequence[Token]) -> str:
    """Returns the expression in standard JMESPath.

    >>> from ordinaut.expressions.tokens import tokenize
    >>> to_jmespath(tokenize("steps.a.time-1h < now && temp > 25"))
    "minus_time ( steps . a . time , '1h' ) < now && temp > `25`"

    Raises:
        ExpressionError: an operand of `+` or `-` is not a time and a duration.
    """
    # JMESPath has no infix operators for values. A sign followed by a duration becomes a function call, which must
    # enclose its left operand: the words of the operand are already written, so its start is searched backwards
    # (`_operand_start`) and the call is inserted there. Repeated shifts (`now+1d-2h`) nest from left to right, because
    # the inserted call is itself an operand of the next sign.
    words: list[str] = []
    for index, token in enumerate(tokens):
        if token.kind == "duration" and index >= 2 and _is_sign(tokens, index - 1):
            start = _operand_start(words)
            function = SHIFTS[tokens[index - 1].text]
            words[start:] = [function, "(", *words[start:], ",", f"'{token.text}'", ")"]
        elif word := _word(tokens, index):
            words.append(word)
    return " ".join(words)


def _word(tokens: Sequence[Token], index: int) -> str:
    token = tokens[index]
    before = tokens[index - 1].text if index else ""
    if token.text in SHIFTS:
        return _sign(tokens, index)
    if token.kind == "duration":
        return f"'{token.text}'"
    if token.kind == "number" and token.inside != "[":
        return f"`-{token.text}`" if before == "-" else f"`{token.text}`"
    if token.kind == "number" and before == "-":
        return f"-{token.text}"
    if token.text in CONSTANTS and before != "." and not _names_something(tokens, index):
        return f"`{token.text}`"
    return token.text


def _is_sign(tokens: Sequence[Token], index: int) -> bool:
    return tokens[index].text in SHIFTS and index > 0 and is_operand_end(tokens[index - 1])


def _sign(tokens: Sequence[Token], index: int) -> str:
    after = tokens[index + 1].kind if index + 1 < len(tokens) else ""
    sign = tokens[index].text
    if _is_sign(tokens, index):
        if after == "duration":
            return ""
        call = "add(a, b)" if sign == "+" else "add(a, mul(b, -1))"
        raise ExpressionError(
            Kind.SYNTAX,
            f"`{sign}` is allowed only between a time and a duration (now{sign}24h); for numbers use {call}",
        )
    if after != "number" or sign == "+":
        raise ExpressionError(Kind.SYNTAX, f"unexpected `{sign}` at position {tokens[index].start}")
    return ""


def _names_something(tokens: Sequence[Token], index: int) -> bool:
    after = tokens[index + 1].text if index + 1 < len(tokens) else ""
    return after == "(" or (after == ":" and tokens[index].inside == "{")


def _operand_start(words: Sequence[str]) -> int:
    """The index of the first word of the operand that ends with the last word: `a.b[0]`, `start_of_day(now)`."""
    place = len(words)
    while place > 0:
        place = _opening(words, place - 1)
        if words[place] in {"(", "["} and place and _ends_value(words[place - 1]):
            continue
        if place and words[place - 1] == ".":
            place -= 1
            continue
        break
    return place


def _ends_value(word: str) -> bool:
    return word[-1].isalnum() or word[-1] in {"_", '"', "]", ")"}


def _opening(words: Sequence[str], place: int) -> int:
    """The index of the bracket that the word at `place` closes; `place` if that word is not a closing bracket."""
    depth = 0
    for index in range(place, -1, -1):
        depth += (words[index] in {")", "]"}) - (words[index] in {"(", "[", "[?"})
        if depth <= 0:
            return index
    return 0
