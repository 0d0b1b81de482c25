"""Reads YAML with the place of every member. Anchors are expanded; errors carry the place of the problem."""

import math
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gateway.drafts.tree import Array, Object, Place
from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.json_text import MAX_DIGITS
from ordinaut.documents.yaml_text import CONSTANTS, FLOAT, INTEGER, RADIX_INTEGER
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

NODES_MAX = 20_000  # an alias can expand to gigabytes
PREFIX = "tag:yaml.org,2002:"
MERGE = f"{PREFIX}merge"


class UnreadableError(Exception):
    """The text cannot be read as it is: a message, and the place of the problem.

    `is_syntax`: the form of the text is wrong, not a value in it.
    """

    def __init__(self, message: str, place: Place, *, is_syntax: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.is_syntax = is_syntax


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that an object has twice: the object, the key, its first value, and the place of the second."""

    parent: Object
    key: str
    first: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Documents:
    """What a text contains: its documents, and the keys that were written twice, of which the last one was read."""

    trees: list[Any]
    duplicates: list[Duplicate]
    aliases: list[Place]


def read_yaml_tree(text: str) -> Documents:
    """Reads the documents of a YAML text.

    Raises:
        UnreadableError: the text is not YAML 1.2, too deep, or too large when its aliases are expanded.
    """
    reader = YAML(typ="safe", pure=True)
    builder = _Builder()
    try:
        trees = [builder.build(node, 1) for node in reader.compose_all(text)]
    except MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        raise UnreadableError(_words(failure), place, is_syntax=True) from None
    except (YAMLError, RecursionError, ValueError) as failure:
        raise UnreadableError(str(failure).splitlines()[0][:200] if str(failure) else "too deep", Place()) from None
    return Documents(trees, builder.duplicates, builder.aliases)


def _words(failure: MarkedYAMLError) -> str:
    parts = [str(part) for part in (failure.context, failure.problem) if part]
    return ", ".join(parts)[:300] or "not YAML"


class _Builder:
    def __init__(self) -> None:
        self.duplicates: list[Duplicate] = []
        self.aliases: list[Place] = []
        self._count = 0
        self._built: set[int] = set()

    def build(self, node: Any, depth: int) -> Any:
        place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
        self._count += 1
        if depth > MAX_JSON_DEPTH:
            raise UnreadableError(f"a document must be nested at most {MAX_JSON_DEPTH} levels deep", place)
        if self._count > NODES_MAX:
            raise UnreadableError(f"a document must have at most {NODES_MAX} values", place)
        if isinstance(node, ScalarNode):
            return scalar(node)
        if id(node) in self._built:
            self.aliases.append(place)
        self._built.add(id(node))
        if isinstance(node, SequenceNode):
            result = Array([self.build(item, depth + 1) for item in node.value], place)
            result.places = [Place(item.start_mark.line + 1, item.start_mark.column + 1) for item in node.value]
            return result
        return self._object(node, place, depth)

    def _object(self, node: MappingNode, place: Place, depth: int) -> Object:
        result = Object(place=place)
        for key_node, value_node in node.value:
            where = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key_node.tag == MERGE or (isinstance(key_node, ScalarNode) and key_node.value == "<<"):
                self._merge(value_node, result, where, depth)
                continue
            if not isinstance(key_node, ScalarNode):
                raise UnreadableError("a key must be a text", where)
            key, value = str(key_node.value), self.build(value_node, depth + 1)
            if key in result and key in result.places:
                self.duplicates.append(Duplicate(result, key, result[key], where))
            result[key] = value
            result.places[key] = where
        return result

    def _merge(self, node: Any, result: Object, place: Place, depth: int) -> None:
        self.aliases.append(place)
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            built = self.build(source, depth + 1)
            if not isinstance(built, dict):
                raise UnreadableError("`<<` must merge an object", place)
            for key, value in built.items():
                result.setdefault(key, value)


def scalar(node: ScalarNode) -> Any:
    """The value of a scalar: as `ordinaut.documents.yaml_text` reads it."""
    text, tag = str(node.value), str(node.tag).removeprefix(PREFIX)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() in {"true", "yes", "on"}
    if tag == "int":
        return _integer(text)
    if tag == "float":
        return float(text) if FLOAT.fullmatch(text) else _finite(CONSTANTS.get(text.lower(), text))
    if tag in {"str", "timestamp", "binary", "value"}:
        return text
    raise UnreadableError(f"unknown tag `{tag}`", Place(node.start_mark.line + 1, node.start_mark.column + 1))


def _integer(text: str) -> Any:
    if RADIX_INTEGER.fullmatch(text):
        return int(text, 0)
    return int(text) if INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS else text


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return InvalidValue(ErrorReason.NON_FINITE_NUMBER, "must be a finite number")
    return value
