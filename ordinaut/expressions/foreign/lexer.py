"""Splits an expression of any of these languages into tokens."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>[\s\u00a0]+)
    |(?P<text>[fFrRbB]?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|[\u2018\u2019](?:[^\u2018\u2019])*[\u2018\u2019]
      |[\u201c\u201d](?:[^\u201c\u201d])*[\u201c\u201d])
    |(?P<literal>`(?:\\.|[^`\\])*`)
    |(?P<span>(?:\d{1,12}(?:ms|[smhdw]))+(?![\w]))
    |(?P<number>(?:\d+(?:\.\d+)?|(?<![\w\]])\.\d+)(?:[eE][+-]?\d+)?(?![\w]))
    |(?P<name>[$@]?[A-Za-z_][A-Za-z0-9_]*|\$|@)
    |(?P<operator>===|!==|\?\?|\?\.|=>|\*\*|//|&&|\|\||==|!=|<>|<=|>=|\[\?|[.*&|!<>()\[\]{},:+\-/%=?~])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class ForeignError(ValueError):
    """The expression cannot be translated; the message says what is not understood."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `value` is the content of a text."""

    kind: str
    text: str
    value: Any = None
    start: int = 0
    joined: bool = False
    """Whether there is no space before it."""


def tokens_of(text: str, dashed: Collection[str] = ()) -> list[Token]:
    """The tokens of an expression; `dashed` are names that contain dashes.

    Raises:
        ForeignError: a character that begins no token.
    """
    names = sorted(dashed, key=len, reverse=True) if dashed else ()
    tokens: list[Token] = []
    place, joined = 0, False
    while place < len(text):
        dashed_name = next((name for name in names if _is_word(text, place, name)), None)
        if dashed_name is not None:
            tokens.append(Token("name", dashed_name, None, place, joined))
            place, joined = place + len(dashed_name), True
            continue
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise ForeignError(f"unexpected {text[place]!r} at position {place}")
        if match.lastgroup != "space":
            tokens.append(_token(match, joined=joined))
        joined = match.lastgroup != "space"
        place = match.end()
    return tokens


def _is_word(text: str, place: int, name: str) -> bool:
    end = place + len(name)
    before, after = text[place - 1 : place], text[end : end + 1]
    return text.startswith(name, place) and not _continues(before) and not _continues(after)


def _continues(character: str) -> bool:
    return character.isalnum() or character in {"_", "-"} if character else False


def _token(match: re.Match[str], *, joined: bool) -> Token:
    kind, word = str(match.lastgroup), match.group()
    if kind == "text":
        prefix = len(word) - len(word.lstrip("fFrRbB")) if word[0] in "fFrRbB" else 0
        inner = word[prefix + 1 : -1]
        value = inner if "r" in word[:prefix].lower() else _unescaped(inner)
        kind = "format" if "f" in word[:prefix].lower() else "text"
        return Token(kind, word, value, match.start(), joined)
    return Token(kind, word, None, match.start(), joined)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)
