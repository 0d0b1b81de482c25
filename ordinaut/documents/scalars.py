"""Converts scalar values of proto3 JSON, by the type of their field. Source: the ProtoJSON specification.

Stricter than the specification in one place: 32-bit numbers and floats must be numbers, not strings. 64-bit integers
may be either, because ProtoJSON writes them as strings.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.limits import EXACT_INTEGER
from ordinaut.v1.error_pb2 import ErrorReason

SURROGATE = re.compile("[\ud800-\udfff]")
DIGITS = re.compile(r"-?[0-9]{1,20}")
FLOAT_MAX = 3.4028234663852886e38


def scalar(value: Any, field: FieldDescriptor) -> Any:
    """The value in the type of the field, or an InvalidValue if it does not fit."""
    return value if isinstance(value, InvalidValue) else _KINDS[field.type](value, field)


def _text(value: Any, _field: FieldDescriptor) -> Any:
    if not isinstance(value, str):
        return _wrong("a string", value)
    if SURROGATE.search(value):
        return InvalidValue(ErrorReason.INVALID_UNICODE, "must not contain a lone surrogate")
    return value


def _bytes(value: Any, _field: FieldDescriptor) -> Any:
    if not isinstance(value, str):
        return _wrong("a base64 string", value)
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return InvalidValue(ErrorReason.FIELD_INVALID, "must be a base64 string")


def _bool(value: Any, _field: FieldDescriptor) -> Any:
    return value if isinstance(value, bool) else _wrong("true or false", value)


def _integer(bits: int, *, signed: bool = True) -> "Callable[[Any, FieldDescriptor], Any]":
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def read(value: Any, _field: FieldDescriptor) -> Any:
        if bits == 64 and isinstance(value, str) and DIGITS.fullmatch(value):
            value = int(value)
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
            if abs(value) >= EXACT_INTEGER:
                return InvalidValue(
                    ErrorReason.INTEGER_PRECISION, "integers from 2^53 on lose digits as JSON numbers: put it in quotes"
                )
        if isinstance(value, bool) or not isinstance(value, int):
            return _wrong("an integer", value)
        if not least <= value <= most:
            return InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, f"must be between {least} and {most} (got {value})")
        return value

    return read


def _float(value: Any, field: FieldDescriptor) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _wrong("a number", value)
    if not math.isfinite(value):
        return InvalidValue(ErrorReason.NON_FINITE_NUMBER, "must be a finite number")
    try:
        number = float(value)
    except OverflowError:
        return InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, "must be at most the largest double")
    if field.type == FieldDescriptor.TYPE_FLOAT and abs(number) > FLOAT_MAX:
        return InvalidValue(ErrorReason.NUMBER_OUT_OF_RANGE, f"must be at most {FLOAT_MAX}")
    return number


def _enum(value: Any, field: FieldDescriptor) -> Any:
    kind: Any = field.enum_type
    names = kind.values_by_name
    if isinstance(value, str) and value in names:
        return names[value].number
    if isinstance(value, int) and not isinstance(value, bool) and value in kind.values_by_number:
        return value
    close = get_close_matches(value.upper(), list(names), n=1) if isinstance(value, str) else []
    hint = f"; did you mean {close[0]}?" if close else ""
    return InvalidValue(ErrorReason.FIELD_INVALID, f"must be one of {', '.join(names)}{hint}")


def _wrong(expected: str, value: Any) -> InvalidValue:
    return InvalidValue(ErrorReason.FIELD_INVALID, f"must be {expected} (got {kind_of(value)})")


def kind_of(value: Any) -> str:
    """The name of a JSON value's type in an error message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    named = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return named.get(type(value), f"a {type(value).__name__}")


_KINDS: Mapping[int, Callable[[Any, FieldDescriptor], Any]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _bool,
    FieldDescriptor.TYPE_ENUM: _enum,
    FieldDescriptor.TYPE_DOUBLE: _float,
    FieldDescriptor.TYPE_FLOAT: _float,
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SFIXED32), _integer(32)
    ),
    **dict.fromkeys(
        (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64), _integer(64)
    ),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32), _integer(32, signed=False)),
    **dict.fromkeys((FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64), _integer(64, signed=False)),
}
