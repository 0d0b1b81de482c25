"""Compares an edited JSON value with the original and finds edits of parts that are not editable."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from ordinaut.errors import Repair, Violation
from ordinaut.json_places import Place, replaced
from ordinaut.limits import EXACT_INTEGER
from ordinaut.sensitive import PREFIX, masked

Path = tuple[str | int, ...]
MISSING = object()


def refused_edits(before: Any, after: Any, editable: Sequence[str], field: str) -> list[Violation]:
    """Returns a violation, with its repair, for each change outside the parts at the JSON pointers `editable`."""
    allowed = [_parts(pointer) for pointer in editable]
    return [
        _violation(path, before, after, field)
        for path in _changes(before, after, ())
        if is_sealed(_at(before, path)) or not any(_text(path)[: len(parts)] == parts for parts in allowed)
    ]


def revealed_values(after: Any, places: Iterable[Place], field: str) -> list[Violation]:
    """Returns a violation for each value that an edit has set at a sensitive place: it would be stored readably."""
    revealed: list[Any] = []
    message = "must not be set by an edit, because it is sensitive"

    def check(value: Any) -> None:
        if not is_sealed(value):
            revealed.append(value)

    violations = []
    for place in places:
        revealed.clear()
        replaced(after, place, check)
        if revealed:
            violations.append(Violation(".".join((field, *place)), message))
    return violations


def sealed_fields(value: Any, field: str) -> list[str]:
    """Returns the paths of the encrypted values in a JSON value.

    >>> sealed_fields({"cards": [{"n": "[sensitive:k:AA]"}]}, "edited_input")
    ['edited_input.cards[0].n']
    """
    if isinstance(value, dict):
        return [path for key, item in value.items() for path in sealed_fields(item, f"{field}.{key}")]
    if isinstance(value, list):
        return [path for index, item in enumerate(value) for path in sealed_fields(item, f"{field}[{index}]")]
    return [field] if is_sealed(value) else []


def is_sealed(value: Any) -> bool:
    """Whether a JSON value contains an encrypted one."""
    if isinstance(value, str):
        return PREFIX in value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(is_sealed, items))


def restored(before: Any, after: Any) -> Any:
    """Returns `after` with the unchanged values restored that callers receive in another form.

    Integers of 2^53 and more are sent as decimal text, because a JSON number would lose digits, and sensitive values
    as `[sensitive]`.

    >>> restored({"id": 2**60, "n": 1}, {"id": "1152921504606846976", "n": 2})
    {'id': 1152921504606846976, 'n': 2}
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return {key: restored(before.get(key), item) for key, item in after.items()}
    if isinstance(before, list) and isinstance(after, list):
        return [restored(*pair) for pair in zip_longest(before[: len(after)], after)]
    if isinstance(before, str):
        return before if after == masked(before) else after
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
        operation = {"op": "add" if new is MISSING else "replace", "path": pointer, "value": _masked(old)}
    reason = "sensitive" if is_sealed(old) else "not editable"
    return Violation(place, f"must not be changed: it is {reason}", repair=Repair("Restores the value.", [operation]))


def _masked(value: Any) -> Any:
    return json.loads(masked(json.dumps(value))) if is_sealed(value) else value


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value.get(part, MISSING) if isinstance(part, str) else value[part]
    return value
