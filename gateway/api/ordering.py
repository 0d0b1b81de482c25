"""The order of lists, and the sort keys in their page tokens. Source: AIP-132."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.api.violations import got
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.store.selection import Field, Kind, Literal, Order

FORM = re.compile(r"\s*([a-z_]+)(?:\s+(asc|desc))?\s*")
TIE = "name"  # the field that makes every order total


@dataclass(frozen=True, slots=True)
class Ordering:
    """Orders by one field, and by name among equal values; a sort key holds the values of these fields."""

    names: tuple[str, ...]
    fields: Mapping[str, Field]
    descending: bool

    def beyond(self, key: str) -> Order:
        """Returns the order of the rows after the row with this key; of all rows if it is empty."""
        fields = [self.fields[name] for name in self.names]
        after = [_parse(field, part) for field, part in zip(fields, key.split("\n"), strict=True)] if key else []
        return Order(fields, self.descending, after)

    def key(self, record: Any) -> str:
        """Returns the sort key of a row."""
        return "\n".join(_format(getattr(record, name)) for name in self.names)


@dataclass(frozen=True, slots=True)
class IdOrdering:
    """Orders by an id that begins with the creation time; the id is the sort key."""

    field: Field
    descending: bool

    def beyond(self, key: str) -> Order:
        """Returns the order of the rows after the row with this key; of all rows if it is empty."""
        return Order([self.field], self.descending, [UUID(key)] if key else [])

    def key(self, record: Any) -> str:
        """Returns the sort key of a row."""
        return str(record.id)


def parse_order(text: str, fields: Mapping[str, Field], default: str = TIE) -> Ordering:
    """Parses `order_by`: the name of a field, followed by ` desc` for descending order.

    >>> fields = {"name": Field("name", sort="name"), "create_time": Field("t", Kind.TIME, sort="t")}
    >>> order = parse_order("create_time desc", fields)
    >>> order.names, order.descending
    (('create_time', 'name'), True)

    Raises:
        InvalidArgumentError: the list cannot be ordered by this.
    """
    match = FORM.fullmatch(text or default)
    sortable = [name for name, field in fields.items() if field.sort]
    if match is None or match[1] not in sortable:
        message = f"must be one of {', '.join(sortable)}, optionally followed by ` desc` {got(text)}"
        raise InvalidArgumentError.of([Violation("order_by", message)])
    names = (match[1],) if match[1] == TIE else (match[1], TIE)
    return Ordering(names, fields, match[2] == "desc")


def _parse(field: Field, part: str) -> Literal:
    return datetime.fromisoformat(part) if field.kind is Kind.TIME else part


def _format(value: str | datetime) -> str:
    return value.isoformat() if isinstance(value, datetime) else value
