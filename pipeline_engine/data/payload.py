"""JSON bytes in and out, within the limits that every later reader relies on."""

import json
import re
from typing import Any

import orjson

from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH

_SUSPECT = re.compile(rb"\\u0000|\d{19}")
_MAX_INTEGER = 2**64
_MIN_INTEGER = -(2**63)


class PayloadError(ValueError):
    """A value cannot be kept: too large, too deep, or not expressible; `too_large` tells the two apart."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def write(value: Any) -> bytes:
    """The value as JSON of at most 1 MiB.

    Raises:
        PayloadError: too large, too deep, or not JSON.
    """
    try:
        text = orjson.dumps(value)
    except TypeError as failure:
        raise PayloadError(f"the value cannot be written as JSON: {failure}") from None
    _check(text, value)
    return text


def read(text: bytes) -> Any:
    """The value of JSON that comes from outside; empty text is null.

    Raises:
        PayloadError: too large, too deep, not JSON, or a part of it cannot be kept exactly.
    """
    if not text.strip():
        return None
    if len(text) > MAX_JSON_BYTES:
        raise PayloadError("the value is larger than 1 MiB", too_large=True)
    try:
        value = orjson.loads(text)
    except ValueError as failure:
        raise PayloadError(f"the value is not JSON: {failure}") from None
    _check(text, value)
    if _SUSPECT.search(text):
        _refuse_rounding(text)
    return value


def _check(text: bytes, value: Any) -> None:
    if len(text) > MAX_JSON_BYTES:
        raise PayloadError("the value is larger than 1 MiB", too_large=True)
    if text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and depth(value) > MAX_JSON_DEPTH:
        raise PayloadError(f"the value is nested deeper than {MAX_JSON_DEPTH} levels", too_large=True)
    if b"\\u0000" in text and holds_nul(value):
        raise PayloadError("a text holds a NUL character")


def depth(value: Any) -> int:
    """How many arrays and objects lie in each other."""
    levels = 0
    layer = [value]
    while layer := [item for item in layer if type(item) in {dict, list}]:
        levels += 1
        layer = [part for item in layer for part in (item.values() if type(item) is dict else item)]
    return levels


def holds_nul(value: Any) -> bool:
    """Whether a text in a JSON value, or a key, has a character that PostgreSQL cannot keep."""
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is str and "\0" in item:
            return True
        if type(item) is dict:
            stack.extend(item)
            stack.extend(item.values())
        elif type(item) is list:
            stack.extend(item)
    return False


def _refuse_rounding(text: bytes) -> None:
    """Orjson reads an integer of more than 64 bits as a rounded number; that must not pass silently."""

    def exact(digits: str) -> int:
        if not (len(digits) <= 20 and _MIN_INTEGER <= int(digits) < _MAX_INTEGER):
            raise PayloadError(f"the integer {digits[:24]}… has more than 64 bits")
        return int(digits)

    json.loads(text, parse_int=exact)
