"""Upper bounds of the work of a JSON Schema: in one value, and for each byte of a value and of everything in it.

References can double the work at each level of a schema of a few hundred bytes, and a validator that runs in native
code cannot be interrupted. So a schema is accepted only if its bounds are small, and a value that may take long is
checked in a process that can be ended. A unit is about the check of one keyword.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import orjson

from pipeline_engine.data.schema_dialects import APPLICATORS, BY_NAME

MAX_IN_PLACE = 1_000
"""Units in one value; the largest of 27 public schemas of up to 600 kB has 519."""
MAX_PATTERNS = 100
MAX_PATTERN_CHARACTERS = 512
MAX_DEPTH = 64
MAX_STEPS = 20_000
"""Schemas times depths in the computation of the bound; with more, it counts as endless."""
ENDLESS = 1_000_000_000
IN_PLACE = ("$ref", "$dynamicRef", "$recursiveRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else")
OBJECT, ARRAY = 0, 1
EXCLUSIVE = {"properties": OBJECT, "prefixItems": ARRAY}
"""Keywords of which one schema applies to one member."""
OVERLAPPING = {
    **dict.fromkeys(("additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames"), OBJECT),
    **dict.fromkeys(("items", "additionalItems", "contains", "unevaluatedItems"), ARRAY),
}
"""Keywords of which every schema may apply to the same member."""


class CostError(ValueError):
    """A schema is too costly; `pointer` is RFC 6901 into the schema."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class _Node:
    """One schema in a schema: its own cost, the schemas for the same value, and those for its members by kind.

    `total` is its cost for one value; `at` its cost for one value at the current depth below it, `by_kind` the same if
    its value is an object, and an array.
    """

    __slots__ = ("at", "by_kind", "exclusive", "in_place", "overlapping", "own", "total", "where")

    def __init__(self, where: str, own: float) -> None:
        self.where = where
        self.own = own
        self.in_place: list[_Node] = []
        self.exclusive: tuple[list[_Node], list[_Node]] = ([], [])
        self.overlapping: tuple[list[_Node], list[_Node]] = ([], [])
        self.total = self.at = 0.0
        self.by_kind = (0.0, 0.0)

    @property
    def is_leaf(self) -> bool:
        """Whether it applies no schema."""
        return not (self.in_place or any(self.exclusive) or any(self.overlapping))


def cost_per_byte(schema: Any) -> int:
    """Returns the largest number of units for one value at any depth: at most this many for each byte of a value.

    Raises:
        CostError: checking one value takes more than 1000 units, or the schema refers to itself for the same value.
    """
    if not isinstance(schema, dict):
        return 1
    nodes = _Reader(schema).read()
    ordered = _ordered(nodes)
    for node in ordered:
        node.total = node.own + sum(inner.total for inner in node.in_place)
        if node.total > MAX_IN_PLACE:
            raise CostError(
                node.where,
                f"checking one value against this schema takes up to {_number(node.total)} units of work, at most "
                f"{MAX_IN_PLACE} are allowed: references and `allOf`, `anyOf`, `oneOf`, `if` multiply it",
            )
    return _largest(nodes[0], ordered)


def _number(units: float) -> str:
    return f"{units:.0f}" if units < ENDLESS else f"{units:.0e}"


class _Reader:
    """Reads the schemas in a schema and resolves their references; `$id` begins a resource with pointers of its own."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._nodes: dict[int, _Node] = {}
        self._unlinked: list[tuple[_Node, dict[str, Any], dict[str, Any]]] = []
        self._anchors: dict[str, list[_Node]] = defaultdict(list)
        self._resources: list[_Node] = []
        self._patterns = 0

    def read(self) -> list[_Node]:
        """Returns every schema, linked to the schemas that it applies; the whole schema is the first.

        Raises:
            CostError: there are too many patterns, or one is too long.
        """
        self._add(self._schema, self._schema, "")
        while self._unlinked:
            self._link(*self._unlinked.pop())
        return list(self._nodes.values())

    def _add(self, value: Any, resource: dict[str, Any], where: str) -> None:
        """Reads a schema in a resource, and every schema in it."""
        stack: list[tuple[Any, dict[str, Any], str]] = [(value, resource, where)]
        while stack:
            value, resource, where = stack.pop()
            if not isinstance(value, dict) or id(value) in self._nodes:
                continue
            node = self._nodes[id(value)] = _Node(where, self._own_cost(value, where))
            if value is self._schema or _begins_resource(value):
                resource = value
                self._resources.append(node)
            for key in ("$anchor", "$dynamicAnchor"):
                if isinstance(value.get(key), str):
                    self._anchors[value[key]].append(node)
            self._unlinked.append((node, value, resource))
            stack.extend((inner, resource, f"{where}{below}") for _, inner, below in _members(value))

    def _own_cost(self, value: Mapping[str, Any], where: str) -> float:
        patterns = [
            text for text in (value.get("pattern"), *_names(value, "patternProperties")) if isinstance(text, str)
        ]
        self._patterns += len(patterns)
        if self._patterns > MAX_PATTERNS:
            raise CostError(where, f"a schema must have at most {MAX_PATTERNS} patterns")
        longest = max(map(len, patterns), default=0)
        if longest > MAX_PATTERN_CHARACTERS:
            raise CostError(where, f"a pattern must have at most {MAX_PATTERN_CHARACTERS} characters (has {longest})")
        required = value.get("required")
        return (
            1.0
            + sum(1 + len(text) / 16 for text in patterns)
            + (len(required) / 8 if isinstance(required, list) else 0)
            + _enum_cost(value.get("enum"))
            + (len(orjson.dumps(value["const"])) / 4 if isinstance(value.get("const"), dict | list) else 0)
        )

    def _link(self, node: _Node, value: dict[str, Any], resource: dict[str, Any]) -> None:
        for keyword, inner, _ in _members(value):
            if (target := self._nodes.get(id(inner))) is None:
                continue
            if keyword in IN_PLACE or keyword in {"dependentSchemas", "dependencies"}:
                node.in_place.append(target)
            elif keyword in EXCLUSIVE:
                node.exclusive[EXCLUSIVE[keyword]].append(target)
            elif keyword in OVERLAPPING:
                node.overlapping[OVERLAPPING[keyword]].append(target)
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(value.get(keyword), str):
                node.in_place += self._targets(keyword, value[keyword], resource, f"{node.where}/{keyword}")
        if "unevaluatedProperties" in value or "unevaluatedItems" in value:  # evaluates the others once more
            node.in_place *= 2

    def _targets(self, keyword: str, reference: str, resource: dict[str, Any], where: str) -> list[_Node]:
        """The schemas that a local reference may mean; a dynamic one may mean each of its name."""
        if keyword == "$recursiveRef":
            return self._resources
        fragment = reference.removeprefix("#")
        if fragment and not fragment.startswith("/"):
            return self._anchors[fragment]
        target = _at(resource, fragment)
        if not isinstance(target, dict):
            return []
        if id(target) not in self._nodes:  # below a keyword that is not one of JSON Schema, such as `components`
            self._add(target, resource, where)
        return [self._nodes[id(target)]]


def _begins_resource(value: Mapping[str, Any]) -> bool:
    return any(isinstance(value.get(key), str) and not value[key].startswith("#") for key in ("$id", "id"))


def _names(value: Mapping[str, Any], keyword: str) -> Iterator[str]:
    named = value.get(keyword)
    return iter(named) if isinstance(named, dict) else iter(())


def _enum_cost(values: Any) -> float:
    if not isinstance(values, list):
        return 0.0
    if not any(isinstance(value, dict | list) for value in values):
        return 1.0
    return 12 * sum(1 + len(orjson.dumps(value)) / 4 for value in values)


def _members(value: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yields the schemas directly in a schema, each with its keyword and the pointer from the schema to it."""
    for keyword, inner in value.items():
        if keyword in BY_NAME and isinstance(inner, dict):
            for name, schema in inner.items():
                yield keyword, schema, f"/{_escaped(keyword)}/{_escaped(name)}"
        elif keyword in APPLICATORS:
            if isinstance(inner, list):
                yield from (
                    ("prefixItems" if keyword == "items" else keyword, schema, f"/{keyword}/{index}")
                    for index, schema in enumerate(inner)
                )
            else:
                yield keyword, inner, f"/{keyword}"


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _at(schema: Any, pointer: str) -> Any:
    for word in unquote(pointer).split("/")[1:]:
        key = word.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, dict) and key in schema:
            schema = schema[key]
        elif isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            return None
    return schema


def _ordered(nodes: Sequence[_Node]) -> list[_Node]:
    """Returns the schemas so that each follows those that it applies to the same value.

    Raises:
        CostError: a schema applies itself to the same value.
    """
    ordered: list[_Node] = []
    state: dict[int, int] = {}  # 1: its in-place schemas are being visited, 2: done
    for first in nodes:
        stack = [(first, 0)] if id(first) not in state else []
        state.setdefault(id(first), 1)
        while stack:
            node, position = stack.pop()
            if position == len(node.in_place):
                state[id(node)] = 2
                ordered.append(node)
                continue
            stack.append((node, position + 1))
            inner = node.in_place[position]
            if state.get(id(inner)) == 1:
                raise CostError(inner.where, "the schema refers to itself for the same value, which never ends")
            if id(inner) not in state:
                state[id(inner)] = 1
                stack.append((inner, 0))
    return ordered


def _largest(root: _Node, ordered: Sequence[_Node]) -> int:
    """Returns the largest cost of one value, over its depths below the root."""
    largest = root.total
    for node in ordered:
        node.at = node.total
    inner_nodes = [node for node in ordered if not node.is_leaf]
    for depth in range(MAX_DEPTH):
        if depth * len(inner_nodes) > MAX_STEPS:
            return ENDLESS
        for node in inner_nodes:  # from their members at the depth before
            node.by_kind = _below(node, OBJECT), _below(node, ARRAY)
        settled = True
        for node in ordered:
            below = max(node.by_kind)
            settled = settled and below == node.at
            node.at = below
        if root.at > ENDLESS:
            return ENDLESS
        largest = max(largest, root.at)
        if settled:
            break
    return round(largest)


def _below(node: _Node, kind: int) -> float:
    exclusive, overlapping, in_place = node.exclusive[kind], node.overlapping[kind], node.in_place
    cost = max([inner.at for inner in exclusive]) if exclusive else 0.0
    for inner in overlapping:
        cost += inner.at
    for inner in in_place:
        cost += inner.by_kind[kind]
    return cost
