"""Compares an edited JSON value with the original and finds edits of parts that are not editable."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from ordinaut.errors import Repair, Violation
from ordinaut.limits import EXACT_INTEGER

Path = tuple[str | int, ...]
MISSING = object()


def refused_edits(before: Any, after: Any, editable: Sequence[str], field: str) -> list[Violation]:
    """Returns a violation, with its repair, for each change outside the parts at the JSON pointers `editable`."""
    allowed = [_parts(pointer) for pointer in editable]
    return [
        _violation(path, before, after, field)
        for path in _changes(before, after, ())
        if not any(_text(path)[: len(parts)] == parts for parts in allowed)
    ]


def with_long_integers(before: Any, after: Any) -> Any:
    """Returns `after` with unchanged long integers restored.

    Callers receive integers of 2^53 and more as decimal text, because a JSON number would lose digits.

    >>> with_long_integers({"id": 2**60, "n": 1}, {"id": "1152921504606846976", "n": 2})
    {'id': 1152921504606846976, 'n': 2}
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: with_long_integers(before.get(key), item) for key, item in after.items()}
    if isinstance(before, list) and isinstance(after, list):
        return [with_long_integers(*pair) for pair in zip_longest(before[: len(after)], after)]
    long = isinstance(before, int) and abs(before) >= EXACT_INTEGER
    return before if long and after == str(before) else after


def _changes(before: Any, after: Any, path: Path) -> Iterator[Path]:
    """Yields the paths of the differences, each as deep as possible."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(key, MISSING), after.get(key, MISSING), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, (*path, index))
    elif isinstance(before, bool) != isinstance(after, bool) or before != after:  # in JSON, true is not 1
        yield path


def _parts(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _text(path: Path) -> tuple[str, ...]:
    return tuple(map(str, path))


def _violation(path: Path, before: Any, after: Any, field: str) -> Violation:
    place = field + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in (field, *_text(path)))
    old, new = _at(before, path), _at(after, path)
    if old is MISSING:
        operation = {"op": "remove", "path": pointer}
    else:
        operation = {"op": "add" if new is MISSING else "replace", "path": pointer, "value": old}
    return Violation(
        place, "must not be changed: it is not editable", repair=Repair("Restores the value.", [operation])
    )


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value.get(part, MISSING) if isinstance(part, str) else value[part]
    return value
