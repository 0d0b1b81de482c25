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


def equal(first: Any, second: Any) -> bool:
    """JSON's equality: a boolean is no number."""
    return bool(first == second) and (type(first) is bool) == (type(second) is bool)


def ordered(ordering: Callable[[Any, Any], Any], first: Any, second: Any) -> bool | None:
    """The order of two numbers or texts, of texts that are times as moments; null for anything else."""
    if type(first) in {int, float} and type(second) in {int, float}:
        return bool(ordering(first, second))
    if type(first) is str and type(second) is str:
        try:
            return bool(ordering(times.parse_timestamp(first), times.parse_timestamp(second)))
        except ExpressionError:
            return bool(ordering(first, second))
    return None
