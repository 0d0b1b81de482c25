"""JSON pointers with `*`, which matches every item of a list and every member of an object."""

from collections.abc import Callable, Sequence
from typing import Any

ANY = "*"
Place = tuple[str, ...]
"""The parts of a pointer, unescaped."""


def place_of(pointer: str) -> Place:
    """Returns the parts of a pointer.

    >>> place_of("/a~1b/*/c~0d")
    ('a/b', '*', 'c~d')
    """
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def replaced(value: Any, place: Sequence[str], replace: Callable[[Any], Any]) -> Any:
    """Returns the value with `replace` applied at a place; where the place does not exist, the value is unchanged.

    >>> replaced({"cards": [{"n": 1}, {"m": 2}]}, ("cards", "*", "n"), lambda found: -found)
    {'cards': [{'n': -1}, {'m': 2}]}
    """
    if not place:
        return replace(value)
    first, rest = place[0], place[1:]
    if isinstance(value, dict):
        return {key: replaced(item, rest, replace) if first in {key, ANY} else item for key, item in value.items()}
    if isinstance(value, list):
        return [
            replaced(item, rest, replace) if first in {str(index), ANY} else item for index, item in enumerate(value)
        ]
    return value


def overlaps(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether one place is, or is inside, the other."""
    return all(ANY in pair or pair[0] == pair[1] for pair in zip(first, second, strict=False))
