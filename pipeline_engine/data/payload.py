"""Reads and writes JSON within the limits that every later reader relies on."""

import json
import re
from typing import Any

import orjson

from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH

_LONG_INTEGER = re.compile(rb"\d{19}")
_MAX_INTEGER = 2**64
_MIN_INTEGER = -(2**63)


class PayloadError(ValueError):
    """A value cannot be stored. `too_large`: it exceeds a size or depth limit; otherwise JSON cannot represent it."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


def write(value: Any) -> bytes:
    """Returns the value as JSON of at most 1 MiB.

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
    """Reads JSON from an untrusted source; empty text is null.

    Raises:
        PayloadError: too large, too deep, not JSON, or a part of it cannot be stored exactly.
    """
    if not text.strip():
        return None
    if len(text) > MAX_JSON_BYTES:
        raise _too_large(text)
    try:
        value = orjson.loads(text)
    except ValueError as failure:
        raise PayloadError(f"the value is not JSON: {failure}") from None
    _check(text, value)
    if _LONG_INTEGER.search(text):
        _refuse_rounding(text)
    return value


def _check(text: bytes, value: Any) -> None:
    if len(text) > MAX_JSON_BYTES:
        raise _too_large(text)
    if text.count(b"[") + text.count(b"{") > MAX_JSON_DEPTH and depth(value) > MAX_JSON_DEPTH:
        raise PayloadError(f"the value must be nested at most {MAX_JSON_DEPTH} levels deep", too_large=True)
    if b"\\u0000" in text and holds_nul(value):
        raise PayloadError("the value contains a NUL character, which cannot be stored")


def _too_large(text: bytes) -> PayloadError:
    return PayloadError(f"the value must be at most 1 MiB of JSON (got {len(text)} bytes)", too_large=True)


def depth(value: Any) -> int:
    """Returns the number of nested arrays and objects."""
    levels = 0
    layer = [value]
    while layer := [item for item in layer if type(item) in {dict, list}]:
        levels += 1
        layer = [part for item in layer for part in (item.values() if type(item) is dict else item)]
    return levels


def holds_nul(value: Any) -> bool:
    """Whether a string or key in a JSON value contains NUL, which PostgreSQL cannot store."""
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
    """Rejects integers beyond 64 bits.

    orjson reads such an integer as a float and loses digits without an error. An id with 20 digits would reach the
    tool as another id, so the text is parsed a second time by the standard library, but only when it contains 19
    digits in a row.
    """

    def exact(digits: str) -> int:
        if not (len(digits) <= 20 and _MIN_INTEGER <= int(digits) < _MAX_INTEGER):
            raise PayloadError(f"an integer must fit in 64 bits (got {digits[:24]}…); send it as a string")
        return int(digits)

    json.loads(text, parse_int=exact)
