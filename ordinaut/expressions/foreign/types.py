"""Comparisons of a number with a text, which are an error here."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ordinaut.expressions.foreign.lexer import ForeignError
from ordinaut.expressions.foreign.nodes import Binary, Call, Constant, Member, Name, Node
from ordinaut.expressions.foreign.parser import parse
from ordinaut.expressions.foreign.scope import Scope
from ordinaut.expressions.foreign.translate import write

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
NUMBERS = frozenset({"number", "integer"})
_QUOTED = re.compile(r"""['"]-?\d""")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
Types = Mapping[tuple[str, str], str]


def compared_types(text: str, scope: Scope, types: Types) -> tuple[str, str] | None:
    """The expression with numbers, and with texts, where it compares both; None if it does not.

    >>> compared_types("steps.w.temp > '20'", Scope(steps={"w": "w"}), {("w", "temp"): "number"})
    ('steps.w.temp > 20', "to_string(steps.w.temp) > '20'")
    """
    if not types or _QUOTED.search(text) is None:
        return None
    try:
        node = parse(text, scope.composed)
    except ForeignError:
        return None
    numbers, texts = _changed(node, types, as_number=True), _changed(node, types, as_number=False)
    return None if numbers == node else (write(numbers, scope), write(texts, scope))


def _changed(node: Any, types: Types, *, as_number: bool) -> Any:
    """A syntax tree in which every such comparison is one of numbers or of texts."""
    if isinstance(node, Binary) and node.operator in COMPARISONS:
        lhs, rhs = _pair(node.left, node.right, types, as_number=as_number)
        if (lhs, rhs) == (node.left, node.right):
            rhs, lhs = _pair(node.right, node.left, types, as_number=as_number)
        return Binary(node.operator, lhs, rhs)
    if isinstance(node, list | tuple):
        return type(node)(_changed(item, types, as_number=as_number) for item in node)
    if not hasattr(node, "__dataclass_fields__"):
        return node
    parts = {part.name: _changed(getattr(node, part.name), types, as_number=as_number) for part in fields(node)}
    return replace(node, **parts)


def _pair(path: Node, constant: Node, types: Types, *, as_number: bool) -> tuple[Node, Node]:
    match path, constant:
        case Member(Member(Name("steps"), step), member), Constant(str(text)):
            if types.get((step, member)) in NUMBERS and _NUMBER.fullmatch(text):
                if not as_number:
                    return Call("to_string", [path]), constant
                return path, Constant(float(text) if "." in text else int(text))
    return path, constant
