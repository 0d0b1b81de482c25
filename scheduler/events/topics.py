"""An index of topic patterns: which values subscribe to a topic."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("children", "rest", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: list[tuple[int, T]] = []
        self.rest: list[tuple[int, T]] = []


class TopicIndex(Generic[T]):
    """Values by topic pattern, as `topic_matcher` matches; a look-up does not visit every pattern.

    >>> index = TopicIndex[str]()
    >>> for pattern in ("mail.*", "mail.sent", "orders.>"):
    ...     index.add(pattern, pattern)
    >>> index["mail.sent"], index["orders.eu.paid"], index["orders"]
    (['mail.*', 'mail.sent'], ['orders.>'], [])
    """

    def __init__(self) -> None:
        self._root = _Node[T]()
        self._count = 0
        self._found: dict[str, Sequence[T]] = {}

    def add(self, pattern: str, value: T) -> None:
        """Adds a value under a valid pattern."""
        node, words = self._root, pattern.split(".")
        for word in words[:-1] if words[-1] == ">" else words:
            node = node.children.setdefault(word, _Node())
        (node.rest if words[-1] == ">" else node.values).append((self._count, value))
        self._count += 1
        self._found.clear()

    def __getitem__(self, topic: str) -> Sequence[T]:
        """The values whose patterns match a topic, in the order in which they were added."""
        if topic not in self._found:
            self._found[topic] = [value for _, value in sorted(self._find(topic.split(".")), key=lambda each: each[0])]
        return self._found[topic]

    def _find(self, words: Sequence[str]) -> Iterator[tuple[int, T]]:
        nodes = [self._root]
        for word in words:
            for node in nodes:
                yield from node.rest
            nodes = [child for node in nodes for key in {word, "*"} if (child := node.children.get(key)) is not None]
        for node in nodes:
            yield from node.values
