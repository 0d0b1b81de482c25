"""The orders of lists, and the keys that their page tokens carry. Source: AIP-132."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.store.selection import Field, Kind, Literal, Order

FORM = re.compile(r"\s*([a-z_]+)(?:\s+(asc|desc))?\s*")
TIE = "name"


@dataclass(frozen=True, slots=True)
class Ordering:
    """By one field, and where that is equal by name; a page's key is what its last row has in these fields."""

    names: tuple[str, ...]
    fields: Mapping[str, Field]
    descending: bool

    def beyond(self, key: str) -> Order:
        """The order of the rows after the one that `key` was made of; empty: of all."""
        fields = [self.fields[name] for name in self.names]
        after = [_read(field, part) for field, part in zip(fields, key.split("\n"), strict=True)] if key else []
        return Order(fields, self.descending, after)

    def key(self, record: Any) -> str:
        """The key of a row."""
        return "\n".join(_written(getattr(record, name)) for name in self.names)


@dataclass(frozen=True, slots=True)
class IdOrdering:
    """By an id that begins with the time of creation; it is the whole key."""

    field: Field
    descending: bool

    def beyond(self, key: str) -> Order:
        """The order of the rows after the one that `key` was made of; empty: of all."""
        return Order([self.field], self.descending, [UUID(key)] if key else [])

    def key(self, record: Any) -> str:
        """The key of a row."""
        return str(record.id)


def parse_order(text: str, fields: Mapping[str, Field], default: str = TIE) -> Ordering:
    """The order that `order_by` says: a field, with ` desc` where the largest comes first.

    Raises:
        InvalidArgumentError: the list cannot be ordered so.
    """
    match = FORM.fullmatch(text or default)
    sortable = [name for name, field in fields.items() if field.sort]
    if match is None or match[1] not in sortable:
        message = f"must be one of {', '.join(sortable)}, with or without ` desc`"
        raise InvalidArgumentError.of([Violation("order_by", message)])
    names = (match[1],) if match[1] == TIE else (match[1], TIE)
    return Ordering(names, fields, match[2] == "desc")


def _read(field: Field, part: str) -> Literal:
    return datetime.fromisoformat(part) if field.kind is Kind.TIME else part


def _written(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value
