"""Truth value, equality and order of JSON values."""

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
    """The truth value in JMESPath: null, false and empty values are false; 0 is true.

    >>> truthy(0), truthy(""), truthy([]), truthy(None)
    (True, False, False, False)
    """
    return value is not None and value is not False and value not in ("", [], {})


def equal(first: Any, second: Any) -> bool:
    """Equality of JSON values, in which a boolean never equals a number.

    >>> equal(1, 1.0), equal(1, True)
    (True, False)
    """
    return bool(first == second) and (type(first) is bool) == (type(second) is bool)


def ordered(ordering: Callable[[Any, Any], Any], first: Any, second: Any) -> bool | None:
    """Compares two numbers or two strings; strings that are both RFC 3339 times by instant; null for other types.

    >>> ordered(operator.lt, "2026-01-01T09:00:00+02:00", "2026-01-01T08:00:00Z")
    True
    """
    if type(first) in {int, float} and type(second) in {int, float}:
        return bool(ordering(first, second))
    if type(first) is str and type(second) is str:
        try:
            return bool(ordering(times.parse_timestamp(first), times.parse_timestamp(second)))
        except ExpressionError:
            return bool(ordering(first, second))
    return None
