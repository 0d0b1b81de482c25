"""JSON text as plain data, without the surprises of Python's reader.

What cannot be kept as it is becomes a `Flaw` in its place, so that the reader of the document can say where it stands.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

INTEGER_DIGITS_MAX = 20  # more than any integer of 64 bits has
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def read_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises:
        InvalidArgumentError: MALFORMED_JSON, INVALID_UNICODE, JSON_TOO_DEEP.
    """
    if depth(data) > MAX_JSON_DEPTH:
        raise InvalidArgumentError(ErrorReason.JSON_TOO_DEEP, f"JSON may be nested {MAX_JSON_DEPTH} levels deep")
    try:
        return _DECODER.decode(utf8(data))
    except json.JSONDecodeError as failure:
        place = f"line {failure.lineno}, column {failure.colno}"
        raise malformed(f"the body is not JSON: {failure.msg}, {place}", place) from None


def utf8(data: bytes) -> str:
    """The body as text.

    Raises:
        InvalidArgumentError: it is not UTF-8, or begins with a byte order mark.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise malformed("the body begins with a byte order mark: send plain UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        text = f"the body is not UTF-8 at byte {failure.start}"
        raise InvalidArgumentError(ErrorReason.INVALID_UNICODE, text) from None


def malformed(message: str, place: str = "") -> InvalidArgumentError:
    """The text cannot be read at all."""
    return InvalidArgumentError(ErrorReason.MALFORMED_JSON, message, {"place": place} if place else {})


def depth(data: bytes) -> int:
    """How deep brackets outside of texts are nested; counted before anything that recurses sees the text."""
    brackets = TEXT.sub(b"", data).translate(None, NOT_BRACKETS)
    return max(accumulate(map(STEP.__getitem__, brackets)), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        twice = key in document
        document[key] = InvalidValue(ErrorReason.DUPLICATE_KEY, "stands twice in its object") if twice else value
    return document


def _integer(digits: str) -> int | InvalidValue:
    if len(digits) > INTEGER_DIGITS_MAX:
        return InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, f"an integer may have {INTEGER_DIGITS_MAX} digits")
    return int(digits)


def _float(text: str) -> float | InvalidValue:
    number = float(text)
    return number if math.isfinite(number) else InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, "is larger than a double")


def _constant(name: str) -> InvalidValue:
    return InvalidValue(ErrorReason.NON_FINITE_NUMBER, f"JSON has no {name}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)
