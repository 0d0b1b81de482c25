"""Parses JSON, stricter than `json.loads`.

Values that cannot be represented are replaced by an `InvalidValue`, so that the parser of the document can report their
path.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.error_pb2 import ErrorReason

MAX_DEPTH = 64
MAX_DIGITS = 310  # enough for every double; Python refuses to read integers of more than 4 300 digits
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
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
        raise malformed(f"the text is not JSON: {failure.msg}, {place}", place) from None


def utf8(data: bytes) -> str:
    """Decodes a text; a byte order mark before it is skipped.

    Raises:
        InvalidArgumentError: the text is not UTF-8.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise malformed("the text must be UTF-8 (got the byte order mark of UTF-16)")
    try:
        return data.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as failure:
        text = f"the text is not UTF-8 at byte {failure.start}"
        raise InvalidArgumentError(ErrorReason.INVALID_UNICODE, text) from None


def malformed(message: str, place: str = "") -> InvalidArgumentError:
    """The error for a text that cannot be parsed."""
    return InvalidArgumentError(ErrorReason.MALFORMED_JSON, message, {"place": place} if place else {})


def depth(data: bytes) -> int:
    """Returns the nesting depth of brackets outside strings, without recursion; checked before parsers that recurse.

    >>> depth(b'{"a": [1, "[[["]}')
    2
    """
    brackets = TEXT.sub(b"", data).translate(None, NOT_BRACKETS)
    return max(accumulate(map(STEP.__getitem__, brackets)), default=0)


def too_many_digits(digits: str) -> InvalidValue:
    """The value in place of an integer that is too long to be read."""
    message = f"an integer must be at most {MAX_DIGITS} digits (got {len(digits)})"
    return InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        is_duplicate = key in document
        document[key] = (
            InvalidValue(ErrorReason.DUPLICATE_KEY, "must be unique in its object") if is_duplicate else value
        )
    return document


def _integer(digits: str) -> int | InvalidValue:
    return int(digits) if len(digits) <= MAX_DIGITS else too_many_digits(digits)


def _float(text: str) -> float | InvalidValue:
    number = float(text)
    return (
        number
        if math.isfinite(number)
        else InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, f"must be in the range of a double (got {text[:40]!r})")
    )


def _constant(name: str) -> InvalidValue:
    return InvalidValue(ErrorReason.NON_FINITE_NUMBER, f"must be a finite number (got {name})")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)
