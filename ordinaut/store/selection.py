"""Translates filters and orders of lists to SQL: conditions over documented fields.

This is the only place where SQL is assembled at run time: from the texts below and the columns that a table's module
names. Values from callers are always parameters, never parts of the statement.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

Literal = str | float | datetime | UUID
Parameter = Literal | list[str]


class Kind(Enum):
    """The kind of value in a field, and the SQL type that it is compared as."""

    TEXT = "text"
    NUMBER = "float8"
    TIME = "timestamptz"
    MAP = "jsonb"  # of texts: compared by key
    LIST = "text[]"  # only tested for an element
    ID = "uuid"  # ordered by, or compared with the name of a resource


@dataclass(frozen=True, slots=True)
class Field:
    """A field for filters: its SQL expression, its kind, and `choices`, its values if they are an enumeration.

    `sort` is the SQL expression to order by, never NULL; empty if lists cannot be ordered by the field. `members` is
    for data in another table: SQL that, followed by `= value`, selects the values of `column` that match.
    """

    column: str
    kind: Kind = Kind.TEXT
    choices: frozenset[str] = frozenset()
    sort: str = ""
    members: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; `key` is the key inside a map. The operator `:` means has or contains."""

    field: str
    operator: str
    value: Literal
    key: str = ""


@dataclass(frozen=True, slots=True)
class Like:
    """True if the field is like one of the patterns of SQL's LIKE; `like_of` makes one from a glob."""

    field: str
    patterns: Sequence[str]


@dataclass(frozen=True, slots=True)
class Every:
    """True if all parts are."""

    parts: Sequence["Condition"]


@dataclass(frozen=True, slots=True)
class Some:
    """True if at least one part is."""

    parts: Sequence["Condition"]


@dataclass(frozen=True, slots=True)
class Not:
    """True if its part is not."""

    part: "Condition"


def like_of(glob: str) -> str:
    r"""The pattern of LIKE for a glob, in which only `*` is special.

    >>> like_of("mail_*")
    'mail\\_%'
    """
    return re.sub(r"([\\%_])", r"\\\1", glob).replace("*", "%")


Condition = Comparison | Like | Every | Some | Not
EVERYTHING = Every(())


@dataclass(frozen=True, slots=True)
class Order:
    """Orders by some fields, the last of which is unique, after the row in which they have the values `after`."""

    fields: Sequence[Field]
    descending: bool = False
    after: Sequence[Literal] = ()


@dataclass(frozen=True, slots=True)
class Selection:
    """A condition over `fields`, and an order."""

    fields: Mapping[str, Field]
    order: Order
    condition: Condition = EVERYTHING

    def sql(self, first: int) -> "Clause":
        """Returns the SQL with parameters numbered from `first`."""
        return Clause(self, first)


class Clause:
    """The SQL of a selection: the texts for the lines `-- filter` and `-- order`, and the parameters."""

    def __init__(self, selection: Selection, first: int) -> None:
        self._fields = selection.fields
        self._first = first
        self.values: list[Parameter] = []
        parts = [] if selection.condition == EVERYTHING else [self._condition(selection.condition)]
        if selection.order.after:
            parts.append(self._beyond(selection.order))
        self.filter = "".join(f" AND ({part})" for part in parts)
        direction = "DESC" if selection.order.descending else "ASC"
        self.order = "ORDER BY " + ", ".join(f"{field.sort} {direction}" for field in selection.order.fields)

    def _condition(self, condition: Condition) -> str:
        match condition:
            case Every(parts):
                return " AND ".join(f"({self._condition(part)})" for part in parts)
            case Some(parts):
                return " OR ".join(f"({self._condition(part)})" for part in parts)
            case Not(part):
                return f"NOT ({self._condition(part)})"
            case Like(name, patterns):
                self.values.append(list(patterns))
                return f"{self._fields[name].column} LIKE ANY(${self._first + len(self.values) - 1}::text[])"
        return self._comparison(condition, self._fields[condition.field])

    def _comparison(self, comparison: Comparison, field: Field) -> str:
        """The result is never NULL, so that NOT is its opposite."""
        if field.kind is Kind.LIST:
            return f"{self._parameter(comparison.value, Kind.TEXT)} = ANY({field.column})"
        if field.kind is Kind.MAP and not comparison.key:
            return f"{field.column} ? {self._parameter(comparison.value, Kind.TEXT)}"
        column, kind = field.column, field.kind
        if kind is Kind.MAP:
            column, kind = f"({field.column} ->> {self._parameter(comparison.key, Kind.TEXT)})", Kind.TEXT
        value = self._parameter(comparison.value, kind)
        if field.members:
            return f"{column} {'NOT IN' if comparison.operator == '!=' else 'IN'} ({field.members} = {value})"
        if comparison.operator == ":":
            return f"coalesce(strpos({column}, {value}) > 0, false)"
        if comparison.operator == "!=":
            return f"{column} IS DISTINCT FROM {value}"
        return f"coalesce({column} {comparison.operator} {value}, false)"

    def _beyond(self, order: Order) -> str:
        columns = ", ".join(field.sort for field in order.fields)
        values = [self._parameter(value, field.kind) for value, field in zip(order.after, order.fields, strict=True)]
        return f"({columns}) {'<' if order.descending else '>'} ({', '.join(values)})"

    def _parameter(self, value: Literal, kind: Kind) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}::{kind.value}"
