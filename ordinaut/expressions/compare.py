"""Truth value, equality and order of JSON values.

Values of different types are not compared, because the result would depend on a quote that was forgotten. Null can be
compared with everything: it equals only null, and has no order.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from ordinaut.expressions import times
from ordinaut.expressions.errors import ExpressionError, Kind

ORDERINGS: Mapping[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_TYPES: Mapping[type, str] = {
    int: "number",
    float: "number",
    str: "string",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def type_name(value: Any) -> str:
    """The JSON type of a value.

    >>> type_name(1.5), type_name(True), type_name(None)
    ('number', 'boolean', 'null')
    """
    return _TYPES[type(value)]


def require_one_type(first: Any, second: Any) -> None:
    """Checks that two values can be compared: they have one type, or one of them is null.

    >>> require_one_type(1, "1")
    Traceback (most recent call last):
    ...
    ordinaut.expressions.errors.ExpressionError: cannot compare a number with a string; convert one of them with \
to_number() or to_string()

    Raises:
        ExpressionError: their types differ.
    """
    if type(first) is type(second) or first is None or second is None:
        return
    names = type_name(first), type_name(second)
    if names[0] == names[1]:
        return
    hint = "; convert one of them with to_number() or to_string()" if set(names) == {"number", "string"} else ""
    raise ExpressionError(Kind.VALUE, f"cannot compare {_article(names[0])} with {_article(names[1])}{hint}")


def require_order(first: Any, second: Any) -> None:
    """Checks that two values can be ordered: numbers, strings or null.

    Raises:
        ExpressionError: their types differ, or have no order.
    """
    if first is None or second is None:
        return
    require_one_type(first, second)
    for value in (first, second):
        if type(value) in {bool, list, dict}:
            raise ExpressionError(
                Kind.VALUE, f"only numbers and strings can be ordered (got {_article(type_name(value))})"
            )


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'ao' else 'a'} {name}"


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
