"""The filters of lists, a bounded part of AIP-160, and their orders. Source: AIP-132, AIP-160.

`state = PAUSED AND (labels.team = "mail" OR NOT display_name : "test")`. What AND and OR mean beside each other is
never guessed: parentheses say it.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.limits import EXACT_INTEGER
from ordinaut.names import split_name
from ordinaut.store.selection import (
    EVERYTHING,
    Comparison,
    Condition,
    Every,
    Field,
    Kind,
    Literal,
    Not,
    Some,
)

FILTER_MAX = 4_000  # characters
TERMS_MAX = 50
DEPTH_MAX = 10
EQUAL = ("=", "!=")
ORDERED = (*EQUAL, "<", "<=", ">", ">=")
TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<operator>!=|<=|>=|[=<>:])|(?P<paren>[()])"
    r"|(?P<word>[^\s()=!<>:\"']+))"
)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
FORMS = {
    Kind.NUMBER: "a whole number",
    Kind.TIME: "a moment with offset, '2027-01-31T09:00:00Z'",
    Kind.ID: "the name of a run, 'runs/…'",
}
RESERVED_WORDS = frozenset({"AND", "OR", "NOT"})
Token = tuple[str, str]
END: Token = ("end", "the end")


def parse_filter(text: str, fields: Mapping[str, Field]) -> Condition:
    """The condition that a filter says; an empty one lets everything through.

    Raises:
        InvalidArgumentError: it cannot be read, is too large, or asks for what the fields do not have.
    """
    if not text.strip():
        return EVERYTHING
    if len(text) > FILTER_MAX:
        raise _wrong(f"may have {FILTER_MAX} characters")
    return _Reader(list(_tokens(text)), fields).whole()


class _Reader:
    """Reads one filter, token by token."""

    def __init__(self, tokens: list[Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._place = 0
        self._fields = fields
        self._terms = 0

    def whole(self) -> Condition:
        """The condition; nothing may be left."""
        condition = self._expression(0)
        if self._peek() != END:
            raise _wrong(f"{self._peek()[1]!r} stands where AND, OR or the end should")
        return condition

    def _expression(self, depth: int) -> Condition:
        parts = [self._term(depth)]
        joint = self._peek()
        while self._peek() in {("word", "AND"), ("word", "OR")}:
            if self._next() != joint:
                raise _wrong("AND and OR stand side by side: say with parentheses what belongs together")
            parts.append(self._term(depth))
        if len(parts) == 1:
            return parts[0]
        return Every(parts) if joint[1] == "AND" else Some(parts)

    def _term(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise _wrong(f"may be nested {DEPTH_MAX} levels deep")
        if self._peek() == ("word", "NOT"):
            self._next()
            return Not(self._term(depth + 1))
        if self._peek() == ("paren", "("):
            self._next()
            inner = self._expression(depth + 1)
            if self._next() != ("paren", ")"):
                raise _wrong("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise _wrong(f"may hold {TERMS_MAX} comparisons")
        kind, name = self._next()
        if kind != "word" or name in RESERVED_WORDS:
            raise _wrong(f"{name!r} stands where a field should")
        field, key, known = self._known(name)
        operator = self._next()
        if operator[0] != "operator":
            raise _wrong(f"{operator[1]!r} stands where a comparison such as = should")
        value = self._next()
        if value[0] not in {"text", "word"} or value in {("word", word) for word in RESERVED_WORDS}:
            raise _wrong(f"{value[1]!r} stands where a value should")
        return Comparison(field, _operator(name, known, key, operator[1]), _literal(name, known, value[1]), key)

    def _known(self, name: str) -> tuple[str, str, Field]:
        if name in self._fields:
            return name, "", self._fields[name]
        head, _, key = name.partition(".")
        known = self._fields.get(head)
        if known is None or known.kind is not Kind.MAP or not key:
            raise _wrong(f"{name!r} is no field of this list; there are {', '.join(self._fields)}")
        return head, key, known

    def _peek(self) -> Token:
        return self._tokens[self._place] if self._place < len(self._tokens) else END

    def _next(self) -> Token:
        token = self._peek()
        self._place += 1
        return token


def _tokens(text: str) -> Iterator[Token]:
    place, end = 0, len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None:
            raise _wrong(f"cannot be read from {text[place : place + 20]!r} on")
        kind = str(match.lastgroup)
        yield kind, ESCAPE.sub(r"\1", match[kind][1:-1]) if kind == "text" else match[kind]
        place = match.end()


def _operator(name: str, known: Field, key: str, operator: str) -> str:
    if known.kind is Kind.LIST or (known.kind is Kind.MAP and not key):
        fitting: tuple[str, ...] = (":",)
    elif known.choices or known.kind is Kind.ID:
        fitting = EQUAL
    elif known.kind in {Kind.NUMBER, Kind.TIME}:
        fitting = ORDERED
    else:
        fitting = (*ORDERED, ":")
    if operator not in fitting:
        raise _wrong(f"{name} can be compared with {' '.join(fitting)}, not with {operator}")
    return operator


def _literal(name: str, known: Field, text: str) -> Literal:
    try:
        if known.kind is Kind.NUMBER:
            return _whole_number(text)
        if known.kind is Kind.TIME:
            return _moment(text)
        if known.kind is Kind.ID:
            return UUID(split_name(text, "runs") or "")
    except (ValueError, OverflowError):
        raise _wrong(f"{name} is compared with {FORMS[known.kind]}, not with {text[:50]!r}") from None
    if known.choices and text not in known.choices:
        raise _wrong(f"{name} is one of {', '.join(sorted(known.choices))}")
    return text


def _whole_number(text: str) -> int:
    number = int(text)
    if abs(number) >= EXACT_INTEGER:
        raise OverflowError
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _wrong(message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation("filter", message)])
