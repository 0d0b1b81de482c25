"""Parses the filters of lists: a subset of AIP-160, with bounds.

Example: `state = PAUSED AND (labels.team = "mail" OR NOT display_name : "test")`.

Supported are comparisons of documented fields, AND, OR, NOT and parentheses. Two deviations are deliberate. AIP-160
gives OR a higher precedence than AND, unlike every programming language: a mix of both without parentheses is refused
instead of being read in a way that one half of the callers does not expect. And a term without a field, which AIP-160
matches against the whole resource, is refused, because the list of fields is what can be translated to indexed SQL.
Length, number of comparisons and depth are limited: the parser is recursive, and every comparison becomes a part of a
statement that PostgreSQL has to plan.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from gateway.api.violations import RECEIVED_MAX, at_most, got, one_of
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
    Kind.TIME: "a time with offset such as '2027-01-31T09:00:00Z'",
    Kind.ID: "the name of a run such as 'runs/…'",
}
RESERVED_WORDS = frozenset({"AND", "OR", "NOT"})
Token = tuple[str, str]
END: Token = ("end", "end of filter")


def parse_filter(text: str, fields: Mapping[str, Field]) -> Condition:
    """Parses a filter; an empty one matches everything.

    >>> fields = {"state": Field("state", choices=frozenset({"ACTIVE", "PAUSED"})), "labels": Field("labels", Kind.MAP)}
    >>> parse_filter('labels.team = "mail"', fields)
    Comparison(field='labels', operator='=', value='mail', key='team')
    >>> parse_filter("NOT state = PAUSED", fields)
    Not(part=Comparison(field='state', operator='=', value='PAUSED', key=''))
    >>> parse_filter("status = PAUSED", fields)
    Traceback (most recent call last):
    ordinaut.errors.InvalidArgumentError: ... filter: unknown field 'status'; supported fields: state, labels

    Raises:
        InvalidArgumentError: the filter is malformed or too large, or names unsupported fields, operators or values.
    """
    if not text.strip():
        return EVERYTHING
    if len(text) > FILTER_MAX:
        raise _invalid(at_most(FILTER_MAX, "characters", len(text)))
    return _Parser(list(_tokens(text)), fields).parse()


class _Parser:
    """A recursive descent parser for one filter."""

    def __init__(self, tokens: list[Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._place = 0
        self._fields = fields
        self._terms = 0

    def parse(self) -> Condition:
        """Parses all tokens."""
        condition = self._expression(0)
        if self._peek() != END:
            raise _expected("AND, OR or the end of the filter", self._peek())
        return condition

    def _expression(self, depth: int) -> Condition:
        parts = [self._term(depth)]
        operator = self._peek()
        while self._peek() in {("word", "AND"), ("word", "OR")}:
            if self._next() != operator:
                raise _invalid("must not mix AND and OR at the same level; add parentheses")
            parts.append(self._term(depth))
        if len(parts) == 1:
            return parts[0]
        return Every(parts) if operator[1] == "AND" else Some(parts)

    def _term(self, depth: int) -> Condition:
        if depth > DEPTH_MAX:
            raise _invalid(f"must be nested at most {DEPTH_MAX} levels deep")
        if self._peek() == ("word", "NOT"):
            self._next()
            return Not(self._term(depth + 1))
        if self._peek() == ("paren", "("):
            self._next()
            inner = self._expression(depth + 1)
            if self._next() != ("paren", ")"):
                raise _invalid("has a parenthesis that is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise _invalid(f"must contain at most {TERMS_MAX} comparisons")
        name = self._next()
        if name[0] != "word" or name[1] in RESERVED_WORDS:
            raise _expected("a field", name)
        field_name, key, field = self._field(name[1])
        operator = self._next()
        if operator[0] != "operator":
            raise _expected("an operator such as =", operator)
        value = self._next()
        if value[0] not in {"text", "word"} or value in {("word", word) for word in RESERVED_WORDS}:
            raise _expected("a value", value)
        return Comparison(
            field_name, _operator(name[1], field, key, operator[1]), _literal(name[1], field, value[1]), key
        )

    def _field(self, name: str) -> tuple[str, str, Field]:
        if name in self._fields:
            return name, "", self._fields[name]
        head, _, key = name.partition(".")
        field = self._fields.get(head)
        if field is None or field.kind is not Kind.MAP or not key:
            raise _invalid(f"unknown field {name[:RECEIVED_MAX]!r}; supported fields: {', '.join(self._fields)}")
        return head, key, field

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
            raise _invalid(f"is malformed at {text[place : place + 20]!r}")
        kind = str(match.lastgroup)
        yield kind, ESCAPE.sub(r"\1", match[kind][1:-1]) if kind == "text" else match[kind]
        place = match.end()


def _operator(name: str, field: Field, key: str, operator: str) -> str:
    if field.kind is Kind.LIST or (field.kind is Kind.MAP and not key):
        supported: tuple[str, ...] = (":",)
    elif field.choices or field.kind is Kind.ID:
        supported = EQUAL
    elif field.kind in {Kind.NUMBER, Kind.TIME}:
        supported = ORDERED
    else:
        supported = (*ORDERED, ":")
    if operator not in supported:
        raise _invalid(f"unsupported operator {operator} for {name}; supported operators: {' '.join(supported)}")
    return operator


def _literal(name: str, field: Field, text: str) -> Literal:
    try:
        if field.kind is Kind.NUMBER:
            return _whole_number(text)
        if field.kind is Kind.TIME:
            return _time(text)
        if field.kind is Kind.ID:
            return UUID(split_name(text, "runs") or "")
    except (ValueError, OverflowError):
        raise _invalid(f"the value of {name} must be {FORMS[field.kind]} {got(text)}") from None
    if field.choices and text not in field.choices:
        raise _invalid(f"the value of {name} {one_of(sorted(field.choices), text)}")
    return text


def _whole_number(text: str) -> int:
    number = int(text)
    if abs(number) >= EXACT_INTEGER:
        raise OverflowError
    return number


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)


def _expected(expected: str, token: Token) -> InvalidArgumentError:
    return _invalid(f"expected {expected}, got {token[1][:RECEIVED_MAX]!r}")


def _invalid(message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation("filter", message)])
