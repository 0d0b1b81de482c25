"""Filters and orders say what they mean, or why they cannot be read."""

import re
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.filters import parse_filter
from gateway.api.ordering import parse_order
from gateway.events.filter import event_filter
from ordinaut.errors import InvalidArgumentError
from ordinaut.store import identity, tool
from ordinaut.store.runs import run
from ordinaut.store.selection import EVERYTHING, Comparison, Every, Not, Order, Selection, Some
from ordinaut.store.tasks import occurrence, task
from ordinaut.v1.event_pb2 import Event

WORDS = ["(", ")", "=", "!=", ":", "AND", "OR", "NOT", "state", "name", "'x'", "labels.a", "1"]
PAID = {
    "topic": "orders.paid",
    "source": "shop 1",
    "position": "7",
    "publish_time": "2027-01-31T09:00:00Z",
    "data": {"order": {"total": 120, "items": ["a", "b"], "gift": True, "note": "50%_"}},
}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("topic = orders.paid", True),
        ('topic = "orders.paid"', True),
        ("topic=orders.paid", True),
        ("topic != orders.paid", False),
        ("NOT topic = orders.paid", False),
        ("NOT NOT topic = orders.paid", True),
        ('source : "op 1"', True),
        ('source : "%"', False),
        ('subject = ""', True),
        ("position > 6 AND position <= 7", True),
        ("position = 8 OR (topic : paid AND depth = 0)", True),
        ('publish_time >= "2027-01-31T10:00:00+01:00"', True),
        ('publish_time < "2027-01-31T09:00:00Z"', False),
        ("data.order.total >= 100", True),
        ("data.order.total = 120.0", True),
        ("data.order.total > many", False),
        ("data.order.gift = true", True),
        ("data.order.gift = yes", False),
        ("data.order.items : b", True),
        ("data.order : gift", True),
        ("data : order", True),
        ("data.order.note = '50%_'", True),
        ("data.order.missing = 1", False),
        ("data.order.missing != 1", True),
        ("data.topic.deeper = 1", False),
        (r"source != 'it\'s'", True),
    ],
)
def test_events_match_filters(text: str, fits: bool) -> None:
    event = json_format.ParseDict(PAID, Event())
    assert event_filter(text)(event) is fits


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("state", "end of filter"),
        ("state =", "end of filter"),
        ("= ACTIVE", "expected a field"),
        ("state ACTIVE", "expected an operator such as ="),
        ("state = ACTIVE state = PAUSED", "AND, OR or the end"),
        ("state = ACTIVE AND", "expected a field"),
        ("state = AND", "expected a value"),
        ("(state = ACTIVE", "not closed"),
        ("state = ACTIVE)", "AND, OR or the end"),
        ("state = SLEEPING", "one of ACTIVE, COMPLETED, PAUSED"),
        ("state < ACTIVE", "supported operators: = !="),
        ("nope = 1", "unknown field"),
        ("labels = x", "supported operators: :"),
        ("name.x = 1", "unknown field"),
        ("version = many", "a whole number"),
        ("version = " + "9" * 400, "a whole number"),
        ("create_time > 2027", "with offset"),
        ("create_time > '2027-01-31T09:00:00'", "with offset"),
        ("create_time > '0001-01-01T00:00:00+14:00'", "with offset"),
        ("name = a AND name = b OR name = c", "parentheses"),
        ("name = 'a", "is malformed at"),
        ("name = a; DROP TABLE task", "AND, OR or the end"),
        (" OR ".join(["name = a"] * 51), "50 comparisons"),
        ("(" * 11 + "name = a" + ")" * 11, "10 levels"),
        ("NOT " * 500 + "name = a", "10 levels"),
        ("name = " + "a" * 4_000, "4000 characters"),
    ],
)
def test_an_invalid_filter_is_explained(text: str, about: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_filter(text, task.FIELDS)
    assert [violation.field for violation in refused.value.violations] == ["filter"]
    assert about in refused.value.violations[0].message


def test_filters_are_parsed() -> None:
    condition = parse_filter('state = ACTIVE AND (labels.team = "a b" OR NOT labels : team)', task.FIELDS)
    team, has = Comparison("labels", "=", "a b", "team"), Comparison("labels", ":", "team")
    assert condition == Every([Comparison("state", "=", "ACTIVE"), Some([team, Not(has)])])
    assert parse_filter("  ", task.FIELDS) == EVERYTHING


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidArgumentError):
        parse_filter(text, task.FIELDS)


@given(st.text(min_size=1, max_size=40).filter(lambda text: "\0" not in text))
def test_values_are_parameters_of_the_statement(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    condition = parse_filter(f"name = '{quoted}' OR labels.team : '{quoted}'", task.FIELDS)
    clause = Selection(task.FIELDS, Order([task.FIELDS["name"]]), condition).sql(3)
    assert clause.values == [value, "team", value]
    assert re.fullmatch(r"[ a-z0-9_.'/|()$:=>,-]+", clause.filter, re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "names", "descending"),
    [
        ("", ("name",), False),
        ("name desc", ("name",), True),
        ("create_time", ("create_time", "name"), False),
        (" update_time  desc ", ("update_time", "name"), True),
    ],
)
def test_an_order_ends_with_a_unique_field(text: str, names: tuple[str, ...], descending: bool) -> None:
    order = parse_order(text, task.FIELDS)
    assert (order.names, order.descending) == (names, descending)


@pytest.mark.parametrize("text", ["state", "name up", "name, create_time", "name desc desc", "name; DROP", "labels"])
def test_an_unsupported_order_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse_order(text, task.FIELDS)
    assert refused.value.violations[0].field == "order_by"


def test_the_documentation_lists_every_field() -> None:
    from pathlib import Path  # noqa: PLC0415 - beside its only use

    page = Path(__file__).parents[3].joinpath("docs/how-to/filters.md").read_text()

    def documented(which: str) -> set[str]:
        row = re.search(rf"^\| {which} \| (.*) \|$", page, re.MULTILINE)
        return set(re.findall(r"`([\w.]+)`", row[1])) if row else set()

    fields: dict[str, Any] = {
        "tasks": task.FIELDS,
        "runs": run.FIELDS,
        "occurrences": occurrence.FIELDS,
        "tools": tool.FIELDS,
        "agents": identity.FIELDS,
    }
    assert {which: documented(which) for which in fields} == {which: set(known) for which, known in fields.items()}
