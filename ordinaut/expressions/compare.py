"""Truth, equality and order of JSON values."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from ordinaut.expressions import times
from ordinaut.expressions.errors import ExpressionError

ORDERINGS: Mapping[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def truthy(value: Any) -> bool:
    """JMESPath's rule: null, false, and what is empty are false; 0 is true."""
    return value is not None and value is not False and value not in ("", [], {})


def equal(one: Any, other: Any) -> bool:
    """JSON's equality: a boolean is no number."""
    return bool(one == other) and (type(one) is bool) == (type(other) is bool)


def ordered(ordering: Callable[[Any, Any], Any], one: Any, other: Any) -> bool | None:
    """The order of two numbers or texts, of texts that are times as moments; null for anything else."""
    if type(one) in {int, float} and type(other) in {int, float}:
        return bool(ordering(one, other))
    if type(one) is str and type(other) is str:
        try:
            return bool(ordering(times.parse_timestamp(one), times.parse_timestamp(other)))
        except ExpressionError:
            return bool(ordering(one, other))
    return None
