"""Compiles the syntax tree of JMESPath to closures; each evaluation is limited in cost.

Intended differences from JMESPath: inside a filter, projection or multi-select, a name that the current value does not
have is looked up among the roots, so that `[?days >= params.min]` works; two strings that are times are compared by
instant; in strict positions a missing path is an error.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ordinaut.expressions.bounds import MAX_DEPTH, MAX_NODES, SCALARS, Scope
from ordinaut.expressions.compare import ORDERINGS, equal, ordered, require_one_type, require_order, truthy
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.functions import BY_EXPRESSION, call, check_arity
from ordinaut.expressions.paths import Key, Node, lenient_path, path_text, static_path, strict_path

Evaluate = Callable[[Any, Scope], Any]
TOLERANT = frozenset({"default", "not_null", "type"})
"""Functions whose arguments may be missing; they receive null."""


@dataclass(slots=True)
class Compiler:
    """Compiles one expression.

    `references` collects the paths that start at a root, `element_references` those through `[*]` or a filter with the
    index 0 in its place, `inner_references` those inside filters and the like, which may start at a root, and `names`
    every name that may be a root. `checks_types`: comparing values of different types is an error.
    """

    checks_types: bool = True
    inner_references: list[tuple[Key, ...]] = field(default_factory=list)
    element_references: list[tuple[Key, ...]] = field(default_factory=list)
    references: list[tuple[Key, ...]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    nodes: int = 0
    depth: int = 0

    def compile(self, node: Node, *, head: bool, nested: bool, strict: bool) -> Evaluate:
        """Returns the closure of `node`.

        `head`: the first name of the node starts a new path; otherwise it is looked up in the value to the left of the
        dot. `nested`: the current value is an element, not the roots. `strict`: a missing path raises an error.

        Raises:
            ExpressionError: too many nodes, nested too deeply, or an unknown function.
        """
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise ExpressionError(
                Kind.LIMIT, f"an expression must have at most {MAX_NODES} nodes and {MAX_DEPTH} levels"
            )
        path = static_path(node)
        if path is not None:
            result = self.path(path, head=head, nested=nested, strict=strict)
        else:
            result = COMPILERS[node["type"]](self, node, head, nested, strict)
        self.depth -= 1
        return result

    def path(self, path: tuple[Key, ...], *, head: bool, nested: bool, strict: bool) -> Evaluate:
        """Returns the closure of a path of constant keys."""
        if head:
            self.names.add(str(path[0]))
        if head and not nested:
            self.references.append(path)
            walk = strict_path(path) if strict else lenient_path(path)
            return lambda _current, scope: walk(scope.roots)
        walk = lenient_path(path)
        if not head or not isinstance(path[0], str):
            return lambda current, _scope: walk(current)
        self.inner_references.append(path)
        return _inner_first(path[0], walk)

    def inner(self, node: Node) -> Evaluate:
        """Returns the closure of a node that is evaluated on an element."""
        return self.compile(node, head=True, nested=True, strict=False)


def _inner_first(name: str, walk: Callable[[Any], Any]) -> Evaluate:
    # JMESPath resolves every name in the current value, so that a filter could not refer to anything outside the
    # element. Here a name falls back to the roots, but only if the element is not an object with that key: a key of
    # the element always takes precedence, also when its value is null.
    def evaluate(current: Any, scope: Scope) -> Any:
        if (type(current) is dict and name in current) or name not in scope.roots:
            return walk(current)
        return walk(scope.roots)

    return evaluate


def _right(compiler: Compiler, node: Node) -> Evaluate:
    """Returns the closure of the operand to the right of a dot or a bracket."""
    return compiler.compile(node, head=False, nested=True, strict=False)


def _chain(compiler: Compiler, node: Node, head: bool, nested: bool, strict: bool) -> Evaluate:
    prefix, rest = _static_prefix(node["children"])
    start = compiler.path(prefix, head=head, nested=nested, strict=strict) if prefix else None
    if prefix and rest and head and not nested:
        _note_elements(compiler, prefix, rest[0])
    start = start or compiler.compile(rest.pop(0), head=head, nested=nested, strict=False)
    steps = [_right(compiler, part) for part in rest]

    def evaluate(current: Any, scope: Scope) -> Any:
        value = start(current, scope)
        for step in steps:
            if value is None:
                return None
            value = step(value, scope)
        return value

    return evaluate


def _static_prefix(parts: Sequence[Node]) -> tuple[tuple[Key, ...], list[Node]]:
    prefix: tuple[Key, ...] = ()
    for place, part in enumerate(parts):
        path = static_path(part)
        if path is None:
            return prefix, list(parts[place:])
        prefix += path
    return prefix, []


def _literal(_compiler: Compiler, node: Node, _head: bool, _nested: bool, _strict: bool) -> Evaluate:
    value = node["value"]
    return lambda _current, _scope: value


def _itself(_compiler: Compiler, _node: Node, head: bool, nested: bool, _strict: bool) -> Evaluate:
    if head and not nested:
        raise ExpressionError(
            Kind.SYNTAX, "`@` and `*` need a current value: use them in a filter, a projection or a multi-select"
        )
    return lambda current, _scope: current


def _slice(_compiler: Compiler, node: Node, _head: bool, _nested: bool, _strict: bool) -> Evaluate:
    if node["children"][2] == 0:
        raise ExpressionError(Kind.SYNTAX, "the step of a slice must not be 0")
    cut = slice(*node["children"])

    def evaluate(current: Any, scope: Scope) -> Any:
        if type(current) is not list:
            return None
        scope.spend_on(current)
        return current[cut]

    return evaluate


def _projection(compiler: Compiler, node: Node, head: bool, nested: bool, _strict: bool) -> Evaluate:
    base = compiler.compile(node["children"][0], head=head, nested=nested, strict=False)
    before = compiler.nodes
    rhs = _right(compiler, node["children"][1])
    condition = compiler.inner(node["children"][2]) if len(node["children"]) > 2 else None
    parts = compiler.nodes - before
    of_values = node["type"] == "value_projection"
    if head and not nested:
        _note_elements(compiler, (), node)

    def evaluate(current: Any, scope: Scope) -> Any:
        elements = base(current, scope)
        if type(elements) is not (dict if of_values else list):
            return None
        scope.spend(len(elements) * parts)
        members: Any = elements.values() if type(elements) is dict else elements
        if condition is not None:
            members = [member for member in members if truthy(condition(member, scope))]
        results = (rhs(member, scope) for member in members)
        return [value for value in results if value is not None]

    return evaluate


def _note_elements(compiler: Compiler, prefix: tuple[Key, ...], node: Node) -> None:
    """Collects the paths of a projection behind a path that starts at a root."""
    if node["type"] not in {"projection", "filter_projection"}:
        return
    base, member = static_path(node["children"][0]), static_path(node["children"][1])
    if base is not None:
        compiler.references.append((*prefix, *base))
    if base is not None and member is not None:
        compiler.element_references.append((*prefix, *base, 0, *member))


def _flatten(compiler: Compiler, node: Node, head: bool, nested: bool, _strict: bool) -> Evaluate:
    base = compiler.compile(node["children"][0], head=head, nested=nested, strict=False)

    def evaluate(current: Any, scope: Scope) -> Any:
        elements = base(current, scope)
        if type(elements) is not list:
            return None
        flat: list[Any] = []
        for element in elements:
            scope.spend(len(element) if type(element) is list else 1)
            flat.extend(element) if type(element) is list else flat.append(element)
        return flat

    return evaluate


def _multi_list(compiler: Compiler, node: Node, _head: bool, nested: bool, strict: bool) -> Evaluate:
    parts = [compiler.compile(child, head=True, nested=nested, strict=strict) for child in node["children"]]

    def evaluate(current: Any, scope: Scope) -> Any:
        scope.spend(len(parts))
        return None if current is None else [part(current, scope) for part in parts]

    return evaluate


def _multi_dict(compiler: Compiler, node: Node, _head: bool, nested: bool, strict: bool) -> Evaluate:
    parts = [
        (pair["value"], compiler.compile(pair["children"][0], head=True, nested=nested, strict=strict))
        for pair in node["children"]
    ]

    def evaluate(current: Any, scope: Scope) -> Any:
        scope.spend(len(parts))
        return None if current is None else {name: part(current, scope) for name, part in parts}

    return evaluate


def _logic(compiler: Compiler, node: Node, head: bool, nested: bool, _strict: bool) -> Evaluate:
    lhs, rhs = (compiler.compile(child, head=True, nested=nested, strict=False) for child in node["children"])
    if node["type"] == "or_expression":

        def either(current: Any, scope: Scope) -> Any:
            value = lhs(current, scope)
            return value if truthy(value) else rhs(current, scope)

        return either

    def both(current: Any, scope: Scope) -> Any:
        value = lhs(current, scope)
        return rhs(current, scope) if truthy(value) else value

    return both


def _not(compiler: Compiler, node: Node, _head: bool, nested: bool, _strict: bool) -> Evaluate:
    inner = compiler.compile(node["children"][0], head=True, nested=nested, strict=False)
    return lambda current, scope: not truthy(inner(current, scope))


def _pipe(compiler: Compiler, node: Node, _head: bool, nested: bool, strict: bool) -> Evaluate:
    lhs = compiler.compile(node["children"][0], head=True, nested=nested, strict=strict)
    rhs = compiler.inner(node["children"][1])
    return lambda current, scope: rhs(lhs(current, scope), scope)


def _comparison(compiler: Compiler, node: Node, _head: bool, nested: bool, _strict: bool) -> Evaluate:
    lhs, rhs = (compiler.compile(child, head=True, nested=nested, strict=False) for child in node["children"])
    compare = _ordering(ORDERINGS[node["value"]]) if node["value"] in ORDERINGS else _equality(node["value"] == "eq")
    check = require_order if node["value"] in ORDERINGS else require_one_type

    def evaluate(current: Any, scope: Scope) -> Any:
        return compare(lhs(current, scope), rhs(current, scope), scope)

    def evaluate_checked(current: Any, scope: Scope) -> Any:
        first, second = lhs(current, scope), rhs(current, scope)
        if type(first) is not type(second) or type(first) not in {str, int, float}:
            try:
                check(first, second)
            except ExpressionError as error:
                operands = " and ".join(map(_operand_text, node["children"]))
                raise ExpressionError(error.kind, f"{error.message}: {operands}") from None
        return compare(first, second, scope)

    return evaluate_checked if compiler.checks_types else evaluate


def _operand_text(node: Node) -> str:
    """An operand in a message: its path or literal, but no value from the data, which may be confidential."""
    path = static_path(node)
    if path is not None:
        return path_text(path)
    return json.dumps(node["value"])[:100] if node["type"] == "literal" else "a computed value"


def _equality(expected: bool) -> Callable[[Any, Any, Scope], bool]:
    def compare(first: Any, second: Any, scope: Scope) -> bool:
        if type(first) not in SCALARS and type(second) not in SCALARS:
            scope.spend_deeply(first)
            scope.spend_deeply(second)
        elif type(first) is str:
            scope.spend_on(first)
        return equal(first, second) is expected

    return compare


def _ordering(ordering: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Scope], bool | None]:
    def compare(first: Any, second: Any, scope: Scope) -> bool | None:
        if type(first) is str:
            scope.spend_on(first)
        return ordered(ordering, first, second)

    return compare


def _function(compiler: Compiler, node: Node, _head: bool, nested: bool, strict: bool) -> Evaluate:
    name = node["value"]
    check_arity(name, len(node["children"]))
    if name in BY_EXPRESSION:
        return _by_expression(compiler, node, nested)
    exact = strict and name not in TOLERANT
    parts = [compiler.compile(child, head=True, nested=nested, strict=exact) for child in node["children"]]

    def evaluate(current: Any, scope: Scope) -> Any:
        return call(name, [part(current, scope) for part in parts], scope)

    return evaluate


def _by_expression(compiler: Compiler, node: Node, nested: bool) -> Evaluate:
    name = node["value"]
    first, second = node["children"] if name == "map" else reversed(node["children"])
    if first["type"] != "expref":
        raise ExpressionError(Kind.SYNTAX, f"{name}() takes an expression reference such as &name")
    before = compiler.nodes
    key = compiler.inner(first["children"][0])
    parts = compiler.nodes - before
    source = compiler.compile(second, head=True, nested=nested, strict=False)

    def evaluate(current: Any, scope: Scope) -> Any:
        elements = source(current, scope)
        if type(elements) is not list:
            raise ExpressionError(Kind.VALUE, f"{name}() takes an array (got {type(elements).__name__})")
        scope.spend(len(elements) * parts)
        keys = [key(element, scope) for element in elements]
        return keys if name == "map" else _by_key(name, elements, keys)

    return evaluate


def _by_key(name: str, elements: list[Any], keys: list[Any]) -> Any:
    if not (all(type(key) is str for key in keys) or all(type(key) in {int, float} for key in keys)):
        raise ExpressionError(Kind.VALUE, f"{name}() can order numbers or strings, but not a mixture of types")
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if name == "sort_by":
        return [elements[place] for place in order]
    if not order:
        return None
    return elements[order[0] if name == "min_by" else max(order, key=keys.__getitem__)]


def _expref(_compiler: Compiler, _node: Node, _head: bool, _nested: bool, _strict: bool) -> Evaluate:
    raise ExpressionError(Kind.SYNTAX, "`&` is allowed only in map(), sort_by(), max_by() and min_by()")


COMPILERS: Mapping[str, Callable[[Compiler, Node, bool, bool, bool], Evaluate]] = {
    "subexpression": _chain,
    "index_expression": _chain,
    "literal": _literal,
    "current": _itself,
    "identity": _itself,
    "slice": _slice,
    "projection": _projection,
    "filter_projection": _projection,
    "value_projection": _projection,
    "flatten": _flatten,
    "multi_select_list": _multi_list,
    "multi_select_dict": _multi_dict,
    "or_expression": _logic,
    "and_expression": _logic,
    "not_expression": _not,
    "pipe": _pipe,
    "comparator": _comparison,
    "function_expression": _function,
    "expref": _expref,
}
