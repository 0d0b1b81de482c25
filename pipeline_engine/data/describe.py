"""Describes received JSON values in error messages."""

from collections.abc import Mapping
from typing import Any

import orjson

from pipeline_engine.data.failure import printable

KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}
MAX_QUOTED = 80
"""Characters of the longest value that a message quotes."""


def kind_of(value: Any) -> str:
    """Names the JSON type of a value.

    >>> kind_of([1]), kind_of(True), kind_of(None)
    ('a list', 'a boolean', 'null')
    """
    return KINDS.get(type(value), "null")


def quoted(value: Any) -> str:
    """Quotes a short scalar as JSON; describes a long string, a list or an object by its type.

    >>> quoted("soon"), quoted(3.5), quoted({"a": 1}), quoted("x" * 500)
    ('"soon"', '3.5', 'an object', 'a string of 500 characters')
    """
    if isinstance(value, dict | list):
        return kind_of(value)
    text = orjson.dumps(printable(value) if isinstance(value, str) else value).decode()
    return text if len(text) <= MAX_QUOTED else f"a string of {len(value)} characters"
