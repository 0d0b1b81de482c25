"""Functions of expressions: those of JMESPath and some more. All are pure: they read no clock and change nothing."""

import hashlib
import json
import math
import re
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from difflib import get_close_matches
from typing import Any

import jmespath.exceptions
import orjson
from jmespath import functions
from jmespath.functions import signature

from ordinaut.expressions import times
from ordinaut.expressions.bounds import Scope
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.limits import MAX_JSON_BYTES

FREE = frozenset({"length", "type", "not_null", "default", "to_array"})
"""Functions of constant cost."""
SHALLOW = frozenset({"keys", "values", "reverse"})
"""Functions that read the elements of their arguments, but no nested values."""
BY_EXPRESSION = frozenset({"map", "sort_by", "max_by", "min_by"})
"""Functions that evaluate an expression for each element; implemented in `evaluate`."""
TEXT: Any = {"types": ["string"]}
NUMBER: Any = {"types": ["number"]}
ANY: Any = {"types": []}
TEXTS: Any = {"types": ["array-string"]}
MAX_INTEGER = 2**63
MIN_EXACT, MAX_EXACT = -(2**63), 2**64
"""Integers that every reader of JSON in Ordinaut reads exactly."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_LONG_NUMBER = re.compile(r"\d{19}", re.ASCII)


class PureFunctions(functions.Functions):
    """The functions of JMESPath and ours; JMESPath finds them by the prefix `_func_`."""

    @signature(ANY, ANY)
    def _func_default(self, value: Any, fallback: Any) -> Any:
        return fallback if value is None else value

    @signature(TEXT, TEXT)
    def _func_plus_time(self, timestamp: str, span: str) -> str:
        return times.shifted(timestamp, span, 1)

    @signature(TEXT, TEXT)
    def _func_minus_time(self, timestamp: str, span: str) -> str:
        return times.shifted(timestamp, span, -1)

    @signature(TEXT, TEXT, TEXT)
    def _func_format_time(self, timestamp: str, form: str, zone: str) -> str:
        if len(form) > 256:
            raise ExpressionError(Kind.LIMIT, f"a time format must have at most 256 characters (got {len(form)})")
        return times.parse_timestamp(timestamp).astimezone(times.zone(zone)).strftime(form)

    @signature(TEXT, TEXT)
    def _func_start_of_day(self, timestamp: str, zone: str) -> str:
        place = times.zone(zone)
        day = times.parse_timestamp(timestamp).astimezone(place).date()
        return times.format_timestamp(_start_of_day(datetime.combine(day, time.min), place))

    @signature(TEXT, TEXT)
    def _func_age(self, timestamp: str, until: str) -> float:
        return (times.parse_timestamp(until) - times.parse_timestamp(timestamp)).total_seconds()

    @signature(NUMBER, NUMBER)
    def _func_add(self, lhs: float, rhs: float) -> float:
        return _number(lhs + rhs)

    @signature(NUMBER, NUMBER)
    def _func_mul(self, lhs: float, rhs: float) -> float:
        return _number(lhs * rhs)

    @signature(NUMBER, NUMBER)
    def _func_div(self, lhs: float, rhs: float) -> float:
        if rhs == 0:
            raise ExpressionError(Kind.VALUE, "division by zero")
        return _number(lhs / rhs)

    @signature(ANY)
    def _func_to_json(self, value: Any) -> str:
        return orjson.dumps(value).decode()

    @signature(TEXT)
    def _func_from_json(self, text: str) -> Any:
        try:
            value = orjson.loads(text)
        except ValueError:
            raise ExpressionError(Kind.VALUE, "from_json(): the string is not valid JSON") from None
        if _LONG_NUMBER.search(text):  # orjson reads an integer beyond 64 bits as a float, which loses digits
            json.loads(text, parse_int=lambda digits: _exact("from_json()", digits))
        return value

    @signature(ANY)
    def _func_to_number(self, value: Any) -> float | None:
        """Null unless the value is a number or a string with a JSON number: Python would accept `1_0` and `nan` too."""
        if type(value) in {int, float}:
            return value  # type: ignore[no-any-return]
        if type(value) is not str or not _NUMBER.fullmatch(value.strip()):
            return None
        text = value.strip()
        return _number(float(text)) if set(text) & set(".eE") else _exact("to_number()", text)

    @signature(TEXT)
    def _func_lower(self, text: str) -> str:
        return text.lower()

    @signature(TEXT)
    def _func_upper(self, text: str) -> str:
        return text.upper()

    @signature(TEXT, TEXT, TEXT)
    def _func_replace(self, text: str, old: str, new: str) -> str:
        if not old:
            raise ExpressionError(Kind.VALUE, "replace(): the string to replace must not be empty")
        if len(text) + text.count(old) * len(new) > MAX_JSON_BYTES:
            raise ExpressionError(Kind.LIMIT, "the string exceeds 1 MiB")
        return text.replace(old, new)

    @signature(TEXT, TEXT)
    def _func_split(self, text: str, separator: str) -> list[str]:
        return text.split(separator) if separator else list(text)

    @signature(TEXTS)
    def _func_join_lines(self, lines: list[str]) -> str:
        return "\n".join(lines)

    @signature(ANY)
    def _func_hash(self, value: Any) -> str:
        return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


FUNCTIONS = PureFunctions()


def check_arity(name: str, count: int) -> None:
    """Checks that a function exists and accepts `count` arguments.

    Raises:
        ExpressionError: it does not.
    """
    spec = FUNCTIONS.FUNCTION_TABLE.get(name)
    if spec is None:
        near = get_close_matches(name, FUNCTIONS.FUNCTION_TABLE, 1)
        hint = f"; did you mean {near[0]}()?" if near else ""
        raise ExpressionError(Kind.SYNTAX, f"unknown function {name}(){hint}")
    parameters = spec["signature"]
    variadic = bool(parameters) and bool(parameters[-1].get("variadic"))
    if count < len(parameters) or (count > len(parameters) and not variadic):
        raise ExpressionError(Kind.SYNTAX, f"{name}() takes {len(parameters)} arguments (got {count})")


def call(name: str, arguments: list[Any], scope: Scope) -> Any:
    """Calls a function; charges the cost of its arguments before the call and of its result after it.

    Raises:
        ExpressionError: wrong types or values, or a limit is exceeded.
    """
    for argument in arguments:
        if name in FREE:
            scope.spend(1)
        elif name in SHALLOW:
            scope.spend_on(argument)
        else:
            scope.spend_deeply(argument)
    if (spend_on_result := RESULT_COSTS.get(name)) is not None:
        spend_on_result(arguments, scope)
    try:
        result = FUNCTIONS.call_function(name, arguments)
    except jmespath.exceptions.JMESPathError as failure:
        raise ExpressionError(Kind.VALUE, str(failure)[:300]) from None
    except (TypeError, ValueError, OverflowError) as failure:
        if isinstance(failure, ExpressionError):
            raise
        raise ExpressionError(Kind.VALUE, f"{name}(): {failure}"[:300]) from None
    if type(result) is str and len(result) > MAX_JSON_BYTES:
        raise ExpressionError(Kind.LIMIT, "the string exceeds 1 MiB")
    if type(result) is list and name not in RESULT_COSTS:
        scope.spend(len(result))
    return result


def _spend_on_split(arguments: list[Any], scope: Scope) -> None:
    text, separator = arguments
    if type(text) is str and type(separator) is str:
        scope.spend(text.count(separator) + 1 if separator else len(text))


def _spend_on_join(arguments: list[Any], scope: Scope) -> None:
    separator, texts = arguments
    if type(separator) is str and type(texts) is list:
        size = len(separator) * len(texts) + sum(len(text) for text in texts if type(text) is str)
        if size > MAX_JSON_BYTES:
            raise ExpressionError(Kind.LIMIT, "the string exceeds 1 MiB")
        scope.spend_on_characters(size)


def _spend_on_replace(arguments: list[Any], scope: Scope) -> None:
    text, old, new = arguments
    if type(text) is type(old) is type(new) is str and old:
        scope.spend_on_characters(len(text) + text.count(old) * len(new))


RESULT_COSTS: Mapping[str, Callable[[list[Any], Scope], None]] = {
    "split": _spend_on_split,
    "join": _spend_on_join,
    "replace": _spend_on_replace,
}
"""Functions with results that may be larger than their arguments: what charges for the result before the call."""


def _exact(function: str, digits: str) -> int:
    if len(digits.lstrip("+-0")) > 20 or not MIN_EXACT <= int(digits) < MAX_EXACT:
        raise ExpressionError(
            Kind.VALUE, f"{function}: an integer must fit in 64 bits (got {digits[:24]}…); keep it as a string"
        )
    return int(digits)


def _number(value: float) -> float:
    if isinstance(value, int):
        if abs(value) >= MAX_INTEGER:
            raise ExpressionError(Kind.VALUE, "the result must be an integer of at most 63 bits")
    elif not math.isfinite(value):
        raise ExpressionError(Kind.VALUE, "the result must be finite")
    return value


def _start_of_day(wall: datetime, place: zoneinfo.ZoneInfo) -> datetime:
    """The first instant of a local day; if a clock change skips midnight, the instant of the change."""
    return wall.replace(tzinfo=place).astimezone(UTC)
