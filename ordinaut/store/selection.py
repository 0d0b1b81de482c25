"""Which rows of a list, in which order: conditions over documented fields, as SQL.

The only place where SQL is put together at run time: from the texts below and the columns that a table's module
names. What a caller writes becomes a parameter, never a part of the statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

Literal = str | float | datetime | UUID


class Kind(Enum):
    """What a field holds, and the SQL type that it is compared as."""

    TEXT = "text"
    NUMBER = "float8"
    TIME = "timestamptz"
    MAP = "jsonb"  # of texts: compared by key
    LIST = "text[]"  # only asked whether it has an element
    ID = "uuid"  # ordered by, or compared with the name of a resource


@dataclass(frozen=True, slots=True)
class Field:
    """A field that lists can be filtered by: its SQL, its kind, and its values where there are but a few.

    `sort` is the SQL that lists are ordered by, never NULL; empty where they cannot be ordered by it. `members` is for
    what stands beside the row: SQL that, with `= value` behind it, selects the values of `column` that fit.
    """

    column: str
    kind: Kind = Kind.TEXT
    choices: frozenset[str] = frozenset()
    sort: str = ""
    members: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; `key` is the key inside a map. The operator `:` means has, or contains."""

    field: str
    operator: str
    value: Literal
    key: str = ""


@dataclass(frozen=True, slots=True)
class Every:
    """All of its parts hold."""

    parts: Sequence["Condition"]


@dataclass(frozen=True, slots=True)
class Some:
    """One of its parts holds."""

    parts: Sequence["Condition"]


@dataclass(frozen=True, slots=True)
class Not:
    """Its part does not hold."""

    part: "Condition"


Condition = Comparison | Every | Some | Not
EVERYTHING = Every(())


@dataclass(frozen=True, slots=True)
class Order:
    """By some fields, of which the last is unique; only rows beyond `after`, their values in the page's last row."""

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
        """The SQL, with parameters numbered from `first` on."""
        return Clause(self, first)


class Clause:
    """A selection's SQL: what stands for the lines `-- filter` and `-- order`, and the parameters."""

    def __init__(self, selection: Selection, first: int) -> None:
        self._fields = selection.fields
        self._first = first
        self.values: list[Literal] = []
        parts = [] if selection.condition == EVERYTHING else [self._condition(selection.condition)]
        if selection.order.after:
            parts.append(self._beyond(selection.order))
        self.filter = "".join(f" AND ({part})" for part in parts)
        direction = "DESC" if selection.order.descending else "ASC"
        self.order = "ORDER BY " + ", ".join(f"{known.sort} {direction}" for known in selection.order.fields)

    def _condition(self, condition: Condition) -> str:
        match condition:
            case Every(parts):
                return " AND ".join(f"({self._condition(part)})" for part in parts)
            case Some(parts):
                return " OR ".join(f"({self._condition(part)})" for part in parts)
            case Not(part):
                return f"NOT ({self._condition(part)})"
        return self._comparison(condition, self._fields[condition.field])

    def _comparison(self, asked: Comparison, known: Field) -> str:
        """Never NULL, so that NOT is the opposite."""
        if known.kind is Kind.LIST:
            return f"{self._parameter(asked.value, Kind.TEXT)} = ANY({known.column})"
        if known.kind is Kind.MAP and not asked.key:
            return f"{known.column} ? {self._parameter(asked.value, Kind.TEXT)}"
        column, kind = known.column, known.kind
        if kind is Kind.MAP:
            column, kind = f"({known.column} ->> {self._parameter(asked.key, Kind.TEXT)})", Kind.TEXT
        value = self._parameter(asked.value, kind)
        if known.members:
            return f"{column} {'NOT IN' if asked.operator == '!=' else 'IN'} ({known.members} = {value})"
        if asked.operator == ":":
            return f"coalesce(strpos({column}, {value}) > 0, false)"
        if asked.operator == "!=":
            return f"{column} IS DISTINCT FROM {value}"
        return f"coalesce({column} {asked.operator} {value}, false)"

    def _beyond(self, order: Order) -> str:
        columns = ", ".join(known.sort for known in order.fields)
        values = [self._parameter(value, known.kind) for value, known in zip(order.after, order.fields, strict=True)]
        return f"({columns}) {'<' if order.descending else '>'} ({', '.join(values)})"

    def _parameter(self, value: Literal, kind: Kind) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}::{kind.value}"
