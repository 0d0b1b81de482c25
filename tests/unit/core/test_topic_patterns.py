"""Topic patterns."""

import pytest

from ordinaut.names import topic_matcher


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("mail.received", "mail.received", True),
        ("mail.received", "mail.received.late", False),
        ("mail.*", "mail.received", True),
        ("mail.*", "mail", False),
        ("mail.*", "mail.received.late", False),
        ("*.received", "mail.received", True),
        ("orders.>", "orders.eu", True),
        ("orders.>", "orders.eu.paid", True),
        ("orders.>", "orders", False),
        ("orders.>", "order.eu", False),
        ("*.>", "a.b", True),
        (">", "anything", True),
        ("a.*.c.>", "a.b.c.d.e", True),
        ("a.*.c.>", "a.b.x.d.e", False),
        ("ordinaut.run.*", "ordinaut.run.succeeded", True),
    ],
)
def test_pattern(pattern: str, topic: str, fits: bool) -> None:
    """`*` matches one word, a final `>` one or more."""
    assert topic_matcher(pattern)(topic) is fits
