"""One document on its way to a task: the tree, and what was changed, asked and lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gateway.drafts.tree import NOWHERE, Array, Object, Place, tree_of
from ordinaut.v1.draft_pb2 import Certainty

CERTAIN, ASSUMED = Certainty.CERTAIN, Certainty.ASSUMED
Node = Object | Array


@dataclass(slots=True)
class Edit:
    """One change. `parent` and `key` are the changed member; its pointer is computed at the end."""

    parent: Any
    key: str | int | None
    before: Any
    after: Any
    why: str
    certainty: Certainty.ValueType
    place: Place


class Removed(Enum):
    """In place of a value: the member is removed."""

    REMOVED = 0


REMOVED = Removed.REMOVED
Setting = tuple[Any, "str | int", Any]
"""An object or array of the tree, the key of a member, and the value that it gets."""


@dataclass(frozen=True, slots=True)
class Option:
    """A possible answer: the members that it sets, or a patch with pointers from the root of the task."""

    id: str
    label: str
    settings: Sequence[Setting] = ()
    patch: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Ask:
    """A question with at least two options."""

    id: str
    text: str
    options: Sequence[Option]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """What could not be carried over."""

    place: Place
    why: str


@dataclass(slots=True)
class Draft:
    """A document that is being changed. Every change goes through a method, which records it."""

    root: Any
    edits: list[Edit] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def put(self, parent: Any, key: Any, value: Any, why: str, certainty: Certainty.ValueType = CERTAIN) -> None:
        """Sets a member, which may be new."""
        before = parent[key] if isinstance(parent, list) or key in parent else None
        parent[key] = tree_of(value, parent.place_of(key))
        self._record(parent, key, before, value, why, certainty, parent.place_of(key))

    def rename(self, parent: Object, old: str, new: str, why: str, certainty: Certainty.ValueType = CERTAIN) -> None:
        """Renames a key."""
        value, place = parent[old], parent.place_of(old)
        parent.renamed(old, new)
        for edit in self.edits:
            if edit.parent is parent and edit.key == old:
                edit.key = new
        self._record(parent, new, {old: value}, {new: value}, why, certainty, place)

    def remove(self, parent: Any, key: Any, why: str, certainty: Certainty.ValueType = CERTAIN) -> Any:
        """Removes a member and returns it."""
        place = parent.place_of(key)
        value = parent.pop(key)
        if isinstance(parent, Array) and key < len(parent.places):
            parent.places.pop(key)
        self._record(parent, None, {key: value} if isinstance(parent, dict) else value, None, why, certainty, place)
        return value

    def move(
        self,
        source: Object,
        key: str,
        target: Object,
        new_key: str,
        why: str,
        certainty: Certainty.ValueType = CERTAIN,
    ) -> None:
        """Moves a member to another object."""
        place = source.place_of(key)
        value = source.pop(key)
        target[new_key] = value
        target.places[new_key] = place
        source.places.pop(key, None)
        for edit in self.edits:
            if edit.parent is source and edit.key == key:
                edit.parent, edit.key = target, new_key
        self._record(target, new_key, {key: value}, {new_key: value}, why, certainty, place)

    def note(
        self, why: str, place: Place = NOWHERE, before: Any = None, after: Any = None, *, certain: bool = True
    ) -> None:
        """Records a change of the text or of the whole document."""
        self.edits.append(Edit(None, None, before, after, why, CERTAIN if certain else ASSUMED, place))

    def lose(self, place: Place, why: str) -> None:
        """Records what could not be carried over."""
        self.losses.append(Loss(place, why))

    def drop(self, parent: Any, key: Any, why: str) -> Any:
        """Removes a member that cannot be carried over, and returns it."""
        self.lose(parent.place_of(key), why)
        value = parent.pop(key)
        if isinstance(parent, Array) and key < len(parent.places):
            parent.places.pop(key)
        return value

    def ask(self, question: Ask) -> None:
        """Adds a question; one with the same id is replaced."""
        self.asks = [known for known in self.asks if known.id != question.id]
        self.asks.append(question)

    def take(self, option: Option) -> None:
        """Sets the members of an option that was chosen."""
        why = f"As answered: {option.label}."
        for parent, key, value in option.settings:
            if value is not REMOVED:
                self.put(parent, key, value, why)
            elif isinstance(parent, list) or key in parent:
                self.remove(parent, key, why)

    def _record(
        self, parent: Any, key: Any, before: Any, after: Any, why: str, certainty: Certainty.ValueType, place: Place
    ) -> None:
        self.edits.append(Edit(parent, key, _copied(before), _copied(after), why, certainty, place))


def _copied(value: Any) -> Any:
    """A copy of a value for the list of changes, to a depth of four levels: later changes do not alter it."""

    def copied(part: Any, depth: int) -> Any:
        if isinstance(part, dict):
            return {key: copied(item, depth + 1) for key, item in part.items()} if depth < 4 else "…"
        if isinstance(part, list):
            return [copied(item, depth + 1) for item in part] if depth < 4 else "…"
        return part

    return copied(value, 0)
