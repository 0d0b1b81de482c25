"""Splits an expression into tokens, which `traps` checks and `rewrite` converts to JMESPath."""

import re
from dataclasses import dataclass

from ordinaut.expressions.errors import ExpressionError, Kind

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<raw>'(?:\\.|[^'\\])*')
    |(?P<quoted>"(?:\\.|[^"\\])*")
    |(?P<literal>`(?:\\.|[^`\\])*`)
    |(?P<duration>(?:\d{1,12}(?:ms|[smhdw]))+(?![\w]))
    |(?P<number>(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<operator>&&|\|\||==|!=|<=|>=|\[\?|\[\]|[.*@&|!<>()\[\]{},:+\-/%=$])""",
    re.VERBOSE | re.ASCII,
)
CLOSES = {")": "(", "]": "[", "}": "{"}
OPENS = frozenset({"(", "[", "[?", "{"})
OPERANDS = frozenset({"raw", "quoted", "literal", "duration", "number", "name"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `start` and `end` are its position in the text; `inside` is the innermost enclosing bracket."""

    kind: str
    text: str
    start: int
    end: int
    inside: str


def tokenize(text: str) -> list[Token]:
    """Returns the tokens without white space.

    Raises:
        ExpressionError: an unexpected character, or brackets that do not match.
    """
    tokens: list[Token] = []
    open_brackets: list[str] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ExpressionError(Kind.SYNTAX, _unreadable(text, place))
        word = match.group()
        if word in CLOSES:
            _close(open_brackets, word, place)
        if match.lastgroup != "space":
            inside = open_brackets[-1] if open_brackets else ""
            tokens.append(Token(match.lastgroup, word, place, match.end(), inside))
        if word in OPENS:
            open_brackets.append(word)
        place = match.end()
    if open_brackets:
        raise ExpressionError(Kind.SYNTAX, f"`{open_brackets[-1]}` is not closed")
    return tokens


def _close(open_brackets: list[str], word: str, place: int) -> None:
    opener = open_brackets.pop() if open_brackets else ""
    if opener.rstrip("?") != CLOSES[word]:
        raise ExpressionError(
            Kind.SYNTAX, f"unexpected `{word}` at position {place}: there is no matching opening bracket"
        )


def _unreadable(text: str, place: int) -> str:
    if text[place] in "'\"`":
        return f"the quote at position {place} is not closed"
    return f"unexpected {text[place]!r} at position {place}"


def is_operand_end(token: Token) -> bool:
    """Whether an operand can end with this token, so that a following sign is an operator."""
    return token.kind in OPERANDS or token.text in {")", "]", "[]", "}", "@", "*"}
