"""Parses JSON bodies, stricter than `json.loads`.

Values that cannot be represented are replaced by an `InvalidValue`, so that the parser of the document can report their
path.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any

from gateway.api.violations import at_most, got
from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.error_pb2 import ErrorReason

MAX_DEPTH = 64
INTEGER_DIGITS_MAX = 20  # enough for every integer of 64 bits
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def read_json(data: bytes) -> Any:
    """Parses JSON in UTF-8.

    Raises:
        InvalidArgumentError: MALFORMED_JSON, INVALID_UNICODE, JSON_TOO_DEEP.
    """
    if depth(data) > MAX_DEPTH:
        raise InvalidArgumentError(ErrorReason.JSON_TOO_DEEP, f"JSON must be nested at most {MAX_DEPTH} levels deep")
    try:
        return _DECODER.decode(utf8(data))
    except json.JSONDecodeError as failure:
        place = f"line {failure.lineno}, column {failure.colno}"
        raise malformed(f"the body is not JSON: {failure.msg}, {place}", place) from None


def utf8(data: bytes) -> str:
    """Decodes the body.

    Raises:
        InvalidArgumentError: the body is not UTF-8, or begins with a byte order mark.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise malformed("the body must be UTF-8 without a byte order mark")
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        text = f"the body is not UTF-8 at byte {failure.start}"
        raise InvalidArgumentError(ErrorReason.INVALID_UNICODE, text) from None


def malformed(message: str, place: str = "") -> InvalidArgumentError:
    """The error for a body that cannot be parsed."""
    return InvalidArgumentError(ErrorReason.MALFORMED_JSON, message, {"place": place} if place else {})


def depth(data: bytes) -> int:
    """Returns the nesting depth of brackets outside strings, without recursion; checked before parsers that recurse.

    >>> depth(b'{"a": [1, "[[["]}')
    2
    """
    brackets = TEXT.sub(b"", data).translate(None, NOT_BRACKETS)
    return max(accumulate(map(STEP.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        is_duplicate = key in document
        document[key] = (
            InvalidValue(ErrorReason.DUPLICATE_KEY, "must be unique in its object") if is_duplicate else value
        )
    return document


def _integer(digits: str) -> int | InvalidValue:
    if len(digits) > INTEGER_DIGITS_MAX:
        return InvalidValue(
            ErrorReason.NUMBER_OUT_OF_RANGE, f"an integer {at_most(INTEGER_DIGITS_MAX, 'digits', len(digits))}"
        )
    return int(digits)


def _float(text: str) -> float | InvalidValue:
    number = float(text)
    return (
        number
        if math.isfinite(number)
        else InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, f"must be in the range of a double {got(text)}")
    )


def _constant(name: str) -> InvalidValue:
    return InvalidValue(ErrorReason.NON_FINITE_NUMBER, f"must be a finite number (got {name})")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)
