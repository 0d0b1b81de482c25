"""A document as JSON whose members know where they were written."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Container = "Object | Array"


class Place(NamedTuple):
    """A place in the text: line and column from 1; both 0 where there was no text."""

    line: int = 0
    column: int = 0


NOWHERE = Place()


class Object(dict[str, Any]):
    """A JSON object; `places` has the place of each key that was written."""

    __slots__ = ("place", "places")

    def __init__(self, members: Mapping[str, Any] | None = None, place: Place = NOWHERE) -> None:
        super().__init__(members or {})
        self.place = place
        self.places: dict[str, Place] = {}

    def place_of(self, key: Any) -> Place:
        """The place of a member; the place of the object if the member was not written."""
        return self.places.get(key, self.place)

    def renamed(self, old: str, new: str) -> None:
        """Renames a key; the order of the keys stays."""
        members = [(new if key == old else key, value) for key, value in self.items()]
        self.clear()
        self.update(members)
        if old in self.places:
            self.places[new] = self.places.pop(old)


class Array(list[Any]):
    """A JSON array; `places` are the places of the elements that were written."""

    __slots__ = ("place", "places")

    def __init__(self, elements: list[Any] | None = None, place: Place = NOWHERE) -> None:
        super().__init__(elements or [])
        self.place = place
        self.places: list[Place] = []

    def place_of(self, index: Any) -> Place:
        """The place of an element; the place of the array if the element was not written."""
        return self.places[index] if index < len(self.places) else self.place


def tree_of(value: Any, place: Place = NOWHERE) -> Any:
    """A copy of a JSON value as a tree; every part of it has this place.

    >>> type(tree_of({"a": [1]})["a"]).__name__
    'Array'
    """
    if isinstance(value, Object | Array):
        return value
    if isinstance(value, Mapping):
        return Object({str(key): tree_of(item, place) for key, item in value.items()}, place)
    if isinstance(value, list | tuple):
        return Array([tree_of(item, place) for item in value], place)
    return value


def plain(value: Any) -> Any:
    """A copy of a tree as ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def pointers(root: Any) -> dict[int, str]:
    """The JSON pointer of every container in a tree, by identity."""
    result: dict[int, str] = {}
    stack: list[tuple[Any, str]] = [(root, "")]
    while stack:
        value, pointer = stack.pop()
        if isinstance(value, dict | list):
            result[id(value)] = pointer
            stack += [(item, f"{pointer}/{escaped(key)}") for key, item in members(value)]
    return result


def members(value: Any) -> Iterator[tuple[Any, Any]]:
    """The keys or indexes of a container, with their values; none for a scalar."""
    if isinstance(value, dict):
        return iter(value.items())
    return iter(enumerate(value)) if isinstance(value, list) else iter(())


def escaped(key: object) -> str:
    """A key as one token of a JSON pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")
