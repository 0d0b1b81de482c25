"""Validates the `sensitive` pointers of a tool for registration."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from ordinaut.errors import Repair, Violation
from ordinaut.json_places import ANY, place_of
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.data.schema_paths import missing_member

MAX_POINTERS = 32
MAX_POINTER = 512
SIDES = ("input", "output")
POINTER = re.compile(r"/(?:input|output)(?:/(?:[^/~]|~[01])*)*")
KEY_SETTING = "ORDINAUT_DATA_KEY_FILE"


def sensitive_violations(value: Mapping[str, Any], *, has_keys: bool) -> Iterator[Violation]:
    """Yields every reason why the `sensitive` of a tool cannot be registered."""
    pointers = value.get("sensitive")
    if pointers is None or pointers == []:
        return
    if not isinstance(pointers, list) or len(pointers) > MAX_POINTERS:
        count = len(pointers) if isinstance(pointers, list) else kind_of(pointers)
        yield Violation("sensitive", f"must be a list of at most {MAX_POINTERS} JSON pointers (got {count})")
        return
    for number, pointer in enumerate(pointers):
        if not isinstance(pointer, str) or len(pointer) > MAX_POINTER or not POINTER.fullmatch(pointer):
            yield _malformed(f"sensitive[{number}]", pointer)
        elif (message := _missing(value, pointer)) is not None:
            yield Violation(f"sensitive[{number}]", message)
    if not has_keys:
        yield Violation("sensitive", f"the pipeline engine does not have a key to encrypt values: set {KEY_SETTING}")


def _malformed(field: str, pointer: Any) -> Violation:
    form = "must be a JSON pointer that begins with `/input` or `/output`, such as `/input/card/number`"
    message = f"{form}, with at most {MAX_POINTER} characters (got {quoted(pointer)})"
    fixed = _corrected(pointer) if isinstance(pointer, str) else None
    if fixed is None:
        return Violation(field, message)
    number = field.removeprefix("sensitive[").removesuffix("]")
    operation = {"op": "replace", "path": f"/sensitive/{number}", "value": fixed}
    return Violation(field, message, repair=Repair(f"Writes it as `{fixed}`.", [operation]))


def _corrected(pointer: str) -> str | None:
    """Returns the pointer that was probably intended, such as `/output/token` for `output.token`."""
    parts = re.split(r"[./]", pointer.removeprefix("$").lstrip("./"))
    sides = get_close_matches(parts[0], SIDES, 1, 0.75)
    fixed = "/".join(["", *sides, *parts[1:]])
    return fixed if sides and len(fixed) <= MAX_POINTER and POINTER.fullmatch(fixed) else None


def _missing(value: Mapping[str, Any], pointer: str) -> str | None:
    """Returns why a pointer never matches, according to the tool's schema."""
    side, *place = place_of(pointer)
    schema = value.get(f"{side}_schema")
    if schema is None or ANY in place or any(part.isdecimal() for part in place):
        return None
    missing = missing_member(schema, place)
    if missing is None or not missing.closed:
        return None
    expected = f"; it has {', '.join(missing.names[:10])}" if missing.names else ""
    return f"`{place[missing.place]}` does not exist in {side}_schema{expected} (got {quoted(pointer)})"


def sensitive_warnings(value: Mapping[str, Any]) -> Iterator[str]:
    """Yields warnings about pointers that the tool's schema does not mention."""
    for number, pointer in enumerate(value.get("sensitive") or ()):
        side, *place = place_of(pointer)
        schema = value.get(f"{side}_schema")
        missing = None if schema is None or ANY in place else missing_member(schema, place)
        if missing is not None and not missing.closed:
            yield f"sensitive[{number}]: `{place[missing.place]}` is not in {side}_schema"
