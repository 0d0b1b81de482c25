"""Translates an expression of another language to the language of pipelines."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ordinaut.expressions.errors import ExpressionError
from ordinaut.expressions.expression import compile_expression
from ordinaut.expressions.foreign.lexer import ForeignError
from ordinaut.expressions.foreign.nodes import (
    Binary,
    Call,
    Choice,
    Constant,
    Element,
    Items,
    Lambda,
    Member,
    Name,
    Node,
    Pairs,
    Part,
    Select,
    Span,
    Text,
    Unary,
    Where,
)
from ordinaut.expressions.foreign.parser import parse
from ordinaut.expressions.foreign.scope import ROOTS, Key, Scope, resolve
from ordinaut.expressions.foreign.vocabulary import NOW, RENAMED, time_format

PIPE, OR, AND, COMPARE, SHIFT, UNARY, ATOM = range(7)
_LEVEL = {"|": PIPE, "||": OR, "&&": AND, **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARE)}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UNITS = {"day": "d", "hour": "h", "minute": "m", "second": "s", "week": "w", "millisecond": "ms"}
_STRINGS = frozenset({"to_string", "join", "upper", "lower", "format_time", "replace", "to_json", "join_lines"})
_NUMBERS = frozenset({"add", "mul", "div", "length", "to_number", "sum", "abs", "ceil", "floor", "avg", "age"})


_ANSWERS = frozenset({"approved", "rejected", "expired", "approve", "reject", "accepted", "yes"})
"""What the output of an approval is compared with."""
_SUCCESS = frozenset({"success", "succeeded", "successful", "completed", "ok"})
_OUTCOMES = frozenset({"choice", "outcome", "state", "verdict", "result", "decision"})
"""Members of the output of an approval that are written for its status."""


@dataclass(frozen=True, slots=True)
class Translation:
    """An expression here. `certain`: its meaning is preserved; `undeclared` are params that are declared nowhere."""

    text: str
    certain: bool
    undeclared: tuple[str, ...] = ()


def translate(text: str, scope: Scope) -> Translation:
    """Translates an expression. One that is valid here and reads only what exists keeps its meaning.

    >>> translate("steps.w.temp == 'hot' or steps.w.temp != None", Scope(steps={"w": "w"})).text
    "steps.w.temp == 'hot' || steps.w.temp != null"
    >>> translate("params.city | default('Berlin')", Scope()).text
    "default(params.city, 'Berlin')"
    >>> translate("len(steps.w.days) > 2 and not steps.w.ok", Scope(steps={"w": "w"})).text
    'length(steps.w.days) > 2 && !(steps.w.ok)'

    Raises:
        ForeignError: it is not understood, or has no equivalent here.
    """
    writer = _Writer(scope)
    result = writer.write(parse(text, scope.composed), PIPE)
    try:
        compile_expression(result)
    except ExpressionError as error:
        raise ForeignError(error.message) from None
    return Translation(result, writer.certain, tuple(dict.fromkeys(writer.undeclared)))


def write(node: Node, scope: Scope) -> str:
    """A syntax tree as an expression of the language."""
    return _Writer(scope).write(node, PIPE)


def quoted(text: str) -> str:
    """A string of the language."""
    return "'" + text.replace("'", "\\'") + "'"


class _Writer:
    """Writes a syntax tree; `inside`: names belong to the element of a filter or projection."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.certain = True
        self.undeclared: list[str] = []
        self._inside = False
        self._element = ""

    def write(self, node: Node, level: int) -> str:
        text, own = self._written(node)
        return f"({text})" if own < level else text

    def _written(self, node: Node) -> tuple[str, int]:  # noqa: C901, PLR0911, PLR0912 - one for each kind of node
        match node:
            case Constant(value):
                return _constant(value), ATOM
            case Span(text):
                return text, ATOM
            case Name() | Member() | Element():
                return self._path(node)
            case Part(of, text):
                return self.write(of, ATOM) + text, ATOM
            case Where(of, condition):
                return f"{self.write(of, ATOM)}[?{self._within(condition)}]", ATOM
            case Select(of, inner):
                return f"{self.write(of, ATOM)}.{self._within(inner)}", ATOM
            case Unary(operator, operand):
                return self._unary(operator, operand)
            case Binary():
                return self._binary(node)
            case Choice(condition, yes, no):
                return self._choice(condition, yes, no)
            case Items(items):
                return f"[{', '.join(self._item(item) for item in items)}]", ATOM
            case Pairs(pairs):
                return "{" + ", ".join(f"{_key(key)}: {self.write(item, PIPE)}" for key, item in pairs) + "}", ATOM
            case Text(parts):
                return self._join([Constant(part) if isinstance(part, str) else part for part in parts])
            case Call():
                return self._call(node)
        raise ForeignError("a function with a body has no equivalent")

    def _item(self, node: Node) -> str:
        """An element of a list; a bare number in brackets would be an index."""
        text = self.write(node, PIPE)
        return f"`{text}`" if isinstance(node, Constant) and not isinstance(node.value, str) else text

    def _within(self, node: Node) -> str:
        before, self._inside = self._inside, True
        text = self.write(node, PIPE)
        self._inside = before
        return text

    def _path(self, node: Node) -> tuple[str, int]:
        keys: list[Key] = []
        base: Node = node
        while isinstance(base, Member | Element):
            keys.insert(0, base.key if isinstance(base, Member) else base.index)
            base = base.of
        if keys and keys[-1] == "length" and not self._is_declared(node):
            shorter: Node = node.of if isinstance(node, Member) else node
            return f"length({self.write(shorter, PIPE)})", ATOM
        if isinstance(base, Name):
            return self._rooted([base.name, *keys]), ATOM
        if isinstance(base, Call) and base.name in {"$", "$node"} and base.arguments:
            first = base.arguments[0]
            rest = [key for index, key in enumerate(keys) if index or key not in {"item", "first", "all", "json"}]
            while rest and rest[0] in {"json", "item"}:
                rest = rest[1:]
            return self._rooted(["steps", str(first.value) if isinstance(first, Constant) else "", *rest]), ATOM
        if isinstance(base, Constant):
            raise ForeignError("a text or number has no members")
        return self.write(base, ATOM) + _keys(keys), ATOM

    def _is_declared(self, node: Node) -> bool:
        """Whether the output of a step declares a member called `length`."""
        match node:
            case Member(Member(Name("steps"), step), key):
                return key in (self.scope.outputs.get(self.scope.steps.get(step, step)) or ())
        return self._inside

    def _rooted(self, path: list[Key]) -> str:
        if path[0] == "@" or (self._inside and str(path[0]) not in ROOTS and path[0] != self._element):
            return "@" + _keys(path[1:]) if path[0] == "@" else _joined(path)
        if self._element and path[0] == self._element:
            return _joined(path[1:]) if len(path) > 1 else "@"
        if path == ["loop", "index"] and self.scope.in_loop:  # counts from 1
            return "add(index, 1)"
        resolved = resolve(path, self.scope)
        if _succeeded(resolved.path, self.scope):
            self.certain = False
            return self._has_run(str(resolved.path[1]))
        if _decision(resolved.path, self.scope):
            return f"({_joined(resolved.path[:2])}.status == '{resolved.path[2]}')"
        self.certain = self.certain and resolved.certain
        if resolved.undeclared:
            self.undeclared.append(resolved.undeclared)
        return _joined(resolved.path)

    def _unary(self, operator: str, operand: Node) -> tuple[str, int]:
        if operator == "&":
            return f"&{self._within(operand)}", UNARY
        if operator == "-":
            return f"mul({self.write(operand, PIPE)}, -1)", ATOM
        if isinstance(operand, Unary) and operand.operator == "!":
            return f"!({self.write(operand, PIPE)})", UNARY
        if isinstance(operand, Binary) and operand.operator in {"==", "!="}:
            opposite = "!=" if operand.operator == "==" else "=="
            return self._binary(Binary(opposite, operand.left, operand.right))
        is_simple = isinstance(operand, Call | Name) or (isinstance(operand, Binary) and operand.operator == "in")
        return (f"!{self.write(operand, ATOM)}" if is_simple else f"!({self.write(operand, PIPE)})"), UNARY

    def _binary(self, node: Binary) -> tuple[str, int]:  # noqa: PLR0911 - one for each kind of operator
        operator, lhs, rhs = node.operator, node.left, node.right
        if operator in {"==", "!="} and (ran := self._ran(lhs, rhs) or self._ran(rhs, lhs)):
            self.certain = False
            return (ran if operator == "==" else f"!{ran}"), ATOM
        if operator in {"==", "!="}:
            lhs, rhs = self._word(lhs, rhs), self._word(rhs, lhs)
            lhs, rhs = self._status(lhs, rhs), self._status(rhs, lhs)
            lhs, rhs = self._answer(lhs, rhs), self._answer(rhs, lhs)
            if _is_true(rhs) and (text := self.write(lhs, PIPE)).startswith("(") and text.endswith("')"):
                return (text if operator == "==" else f"!{text}"), ATOM
        if operator in _LEVEL:
            level = _LEVEL[operator]
            second = self._within(rhs) if operator == "|" else self.write(rhs, level + 1)
            return f"{self.write(lhs, level)} {operator} {second}", level
        if operator == "in":
            return f"contains({self.write(rhs, PIPE)}, {self.write(lhs, PIPE)})", ATOM
        if operator == "??":
            return f"default({self.write(lhs, PIPE)}, {self.write(rhs, PIPE)})", ATOM
        if operator in {"+", "-", "~"}:
            return self._sum(operator, lhs, rhs)
        function = {"*": "mul", "/": "div"}.get(operator)
        if function is None:
            raise ForeignError(f"`{operator}` has no equivalent")
        return f"{function}({self.write(lhs, PIPE)}, {self.write(rhs, PIPE)})", ATOM

    def _ran(self, node: Node, counterpart: Node) -> str:
        """`steps.a.status == 'success'`: the step has run, and has not failed; empty for anything else."""
        match node, counterpart:
            case Member(Member(Name("steps"), step), str(key)), Constant(str(word)):
                declared = self.scope.outputs.get(step)
                is_state = key in {"status", "state", "outcome", "conclusion", "result"}
                if declared is not None and key not in declared and is_state and word.lower() in _SUCCESS:
                    return self._has_run(step)
        return ""

    def _has_run(self, step: str) -> str:
        """A failed step whose error is handled has the output `{error: …}`; the output of a skipped one is null."""
        failed = f" && steps.{_key(step)}.error == null" if step in self.scope.handled else ""
        return f"(steps.{_key(step)} != null{failed})"

    def _word(self, node: Node, counterpart: Node) -> Node:
        """The answer of an approval that was written without quotes."""
        known = {*self.scope.params, *self.scope.steps, *self.scope.aliases}
        if isinstance(node, Name) and node.name.lower() in _ANSWERS and node.name not in known:
            text = self._status(counterpart, Constant(node.name))
            return Constant(node.name) if text is not counterpart or _is_status(counterpart, self.scope) else node
        return node

    def _status(self, node: Node, counterpart: Node) -> Node:
        """The status of an approval, where its whole output is compared with an answer."""
        if (
            not isinstance(counterpart, Constant)
            or str(counterpart.value).lower() not in _ANSWERS
            or not self.scope.approvals
        ):
            return node
        keys, base = list[str](), node
        while isinstance(base, Member):
            keys.insert(0, base.key)
            base = base.of
        path = resolve([base.name, *keys], self.scope).path if isinstance(base, Name) else []
        if len(path) not in {2, 3} or path[0] != "steps" or path[1] not in self.scope.approvals:
            return node
        is_status = str(counterpart.value).lower() in {"approved", "rejected", "expired"}
        if len(path) == 3 and not (path[2] in _OUTCOMES and is_status):
            return node
        return Member(Member(Name("steps"), str(path[1])), "status")

    def _answer(self, node: Node, counterpart: Node) -> Node:
        """The answer of an approval in its own words, where it is compared with its status."""
        match node, counterpart:
            case Constant(str(text)), Member(Member(Name("steps"), step), "status") if step in self.scope.approvals:
                words = {"approve": "approved", "accepted": "approved", "yes": "approved", "reject": "rejected"}
                return Constant(words.get(text.lower(), text.lower()))
        return node

    def _sum(self, operator: str, lhs: Node, rhs: Node) -> tuple[str, int]:
        if (span := _span(rhs)) and operator in {"+", "-"}:
            return f"{self.write(lhs, ATOM)}{operator}{span}", SHIFT
        if operator == "~" or (operator == "+" and (self._is_text(lhs) or self._is_text(rhs))):
            return self._join([*_flattened(lhs, operator), rhs])
        if operator == "+" and not (self._is_number(lhs) or self._is_number(rhs)):
            self.certain = False
        second = self.write(rhs, PIPE)
        if operator == "-":
            second = f"-{second}" if isinstance(rhs, Constant) else f"mul({second}, -1)"
        return f"add({self.write(lhs, PIPE)}, {second})", ATOM

    def _is_text(self, node: Node) -> bool:
        match node:
            case Constant(value):
                return isinstance(value, str)
            case Text():
                return True
            case Call(name):
                return (RENAMED.get(name) or name) in _STRINGS
            case Binary("+" | "~", lhs, rhs):
                return self._is_text(lhs) or self._is_text(rhs)
        return False

    def _is_number(self, node: Node) -> bool:
        match node:
            case Constant(value):
                return isinstance(value, int | float)
            case Call(name):
                return (RENAMED.get(name) or name) in _NUMBERS
            case Binary(operator, lhs, rhs):
                return operator in {"*", "/", "-"} or self._is_number(lhs) or self._is_number(rhs)
        return False

    def _join(self, parts: Sequence[Node]) -> tuple[str, int]:
        words = [
            self.write(part, PIPE) if self._is_text(part) else f"to_string({self.write(part, PIPE)})" for part in parts
        ]
        return f"join('', [{', '.join(words)}])", ATOM

    def _choice(self, condition: Node, yes: Node, no: Node | None) -> tuple[str, int]:
        counterpart = Constant(None) if no is None else no
        if isinstance(yes, Constant) and yes.value not in (None, False, ""):
            return f"{self.write(condition, AND)} && {self.write(yes, ATOM)} || {self.write(counterpart, AND)}", OR
        first, second = self._item(yes), self._item(counterpart)
        return f"({self.write(condition, AND)} && [{first}] || [{second}])[0]", ATOM

    def _call(self, node: Call) -> tuple[str, int]:
        if node.is_method and node.arguments and node.arguments[0] == Name("Math"):
            node = Call(node.name, node.arguments[1:], node.named)
        special = _SPECIAL.get(node.name)
        if node.name in NOW and (not node.arguments or _is_clock(node.arguments[0])):
            return "now", ATOM
        if special is not None:
            result = special(self, node)
            if result is not None:
                return result, ATOM
        name = RENAMED.get(node.name) or node.name
        arguments = list(node.arguments)
        if name in {"max", "min"} and len(arguments) > 1:
            arguments = [Items(arguments)]
        if node.named and name != "default":
            raise ForeignError(f"`{node.name}` with named arguments has no equivalent")
        if name == "default":
            arguments = arguments[:2]
        return f"{name}({', '.join(self.write(argument, PIPE) for argument in arguments)})", ATOM

    def each(self, of: Node, body: Lambda) -> str:
        """A list with an expression of its elements."""
        before, self._element = self._element, body.name
        text = self._within(body.body)
        self._element = before
        if not re.fullmatch(r"[\w.\[\]\"]+", text):
            raise ForeignError("a function of an element has no equivalent here")
        return f"{self.write(of, ATOM)}[*]" + ("" if text == "@" else f".{text}")

    def where(self, of: Node, body: Lambda) -> str:
        """The elements of a list for which a condition holds."""
        before, self._element = self._element, body.name
        text = self._within(body.body)
        self._element = before
        return f"{self.write(of, ATOM)}[?{text}]"


def _decision(path: Sequence[Key], scope: Scope) -> bool:
    """Whether a path is `steps.<approval>.approved`."""
    return len(path) == 3 and path[1] in scope.approvals and path[2] in {"approved", "rejected", "expired"}


def _is_true(node: Node) -> bool:
    return isinstance(node, Constant) and node.value is True


def _is_clock(node: Node) -> bool:
    match node:
        case Name(name):
            return name in NOW
        case Member(of, key):
            return key in NOW and _is_clock(of)
    return False


def _flattened(node: Node, operator: str) -> list[Node]:
    if isinstance(node, Binary) and node.operator in {"+", "~"}:
        return [*_flattened(node.left, operator), node.right]
    return list(node_parts(node))


def node_parts(node: Node) -> Sequence[Node]:
    """The parts of a string with values in it; any other node is one part."""
    if isinstance(node, Text):
        return [Constant(part) if isinstance(part, str) else part for part in node.parts]
    return [node]


def _span(node: Node) -> str:
    """The duration that a node is: `24h`, or `timedelta(days=1)`."""
    match node:
        case Span(text):
            return text
        case Call("timedelta" | "relativedelta" | "Duration", _, named) if named:
            return "".join(_unit(name, value) for name, value in named)
        case Call("duration" | "interval" | "timedelta" | "Duration", [Constant(str(text))]):
            return text.replace(" ", "") if re.fullmatch(r"(?:\d+\s*(?:ms|[smhdw])\s*)+", text) else ""
        case Call("timedelta", [Constant(int(number))]):
            return f"{number}d"
        case Call(name, [Constant(int(number))]) if name.rstrip("s") in _UNITS and not node.is_method:
            return f"{number}{_UNITS[name.rstrip('s')]}"
    return ""


def _unit(name: str, value: Node) -> str:
    unit = _UNITS.get(name.rstrip("s"))
    if unit is None or not isinstance(value, Constant) or not isinstance(value.value, int | float):
        raise ForeignError(f"`{name}` is not a unit of time")
    return f"{value.value}{unit}"


def _constant(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else json.dumps(key)


def _keys(keys: Sequence[Key]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{_key(key)}" for key in keys)


def _joined(path: Sequence[Key]) -> str:
    return _keys(path).removeprefix(".")


def _is_status(node: Node, scope: Scope) -> bool:
    match node:
        case Member(Member(Name("steps"), step), "status"):
            return step in scope.approvals
    return False


def _succeeded(path: Sequence[Key], scope: Scope) -> bool:
    """Whether a path asks if a step has succeeded, and is no member of its output."""
    if len(path) != 3 or path[0] != "steps" or path[2] not in {"success", "succeeded", "successful", "ok", "completed"}:
        return False
    declared = scope.outputs.get(str(path[1]))
    return declared is not None and path[2] not in declared


_Special = Callable[[_Writer, Call], str | None]


def _as_join(writer: _Writer, node: Call) -> str:
    first, *rest = node.arguments
    second: Node = rest[0] if rest else Constant("")
    is_first = isinstance(first, Constant) and isinstance(first.value, str)
    separator, items = (first, second) if is_first else (second, first)
    return f"join({writer.write(separator, PIPE)}, {writer.write(items, PIPE)})"


def _as_map(writer: _Writer, node: Call) -> str | None:
    named = dict(node.named)
    if "attribute" in named and isinstance(attribute := named["attribute"], Constant):
        return f"{writer.write(node.arguments[0], ATOM)}[*].{attribute.value}"
    if len(node.arguments) == 2 and isinstance(body := node.arguments[1], Lambda):
        return writer.each(node.arguments[0], body)
    return None


def _as_filter(writer: _Writer, node: Call) -> str | None:
    if len(node.arguments) == 2 and isinstance(body := node.arguments[1], Lambda):
        return writer.where(node.arguments[0], body)
    return None


def _as_get(writer: _Writer, node: Call) -> str | None:
    of, key, *rest = [*node.arguments, Constant(None)] if len(node.arguments) < 2 else node.arguments
    if not isinstance(key, Constant) or not isinstance(key.value, str | int):
        return None
    member = Member(of, key.value) if isinstance(key.value, str) else Element(of, key.value)
    text = writer.write(member, PIPE)
    return f"default({text}, {writer.write(rest[0], PIPE)})" if rest else text


def _as_time(writer: _Writer, node: Call) -> str | None:
    arguments = list(node.arguments) if node.is_method else [*node.arguments]
    if len(arguments) == 1 and isinstance(arguments[0], Constant):
        arguments = [Name("now"), *arguments]
    if not arguments or len(arguments) > 3:
        return None
    form = arguments[1] if len(arguments) > 1 else Constant("%Y-%m-%d")
    if not isinstance(form, Constant) or not isinstance(form.value, str):
        return None
    known = _php_format(form.value) or time_format(form.value)
    if known is None:
        raise ForeignError(f"the time format {form.value!r} has no equivalent: write it as in strftime, `%Y-%m-%d`")
    zone = writer.write(arguments[2], PIPE) if len(arguments) == 3 else quoted(writer.scope.time_zone)
    return f"format_time({writer.write(arguments[0], PIPE)}, {quoted(known)}, {zone})"


def _php_format(text: str) -> str | None:
    words = {"Y": "%Y", "m": "%m", "d": "%d", "H": "%H", "i": "%M", "s": "%S", "y": "%y"}
    if not re.fullmatch(r"(?:[YmdHisy](?![A-Za-z])|[^A-Za-z%])+", text) or not set(text) & {"Y", "d", "H", "i"}:
        return None
    return "".join(words.get(character, character) for character in text)


def _as_format(writer: _Writer, node: Call) -> str | None:
    first = node.arguments[0] if node.arguments else None
    if not (isinstance(first, Constant) and isinstance(first.value, str) and re.search(r"\{\d*\}|%s", first.value)):
        return _as_time(writer, node)
    values, parts, number = node.arguments[1:], list[Node](), 0
    for index, part in enumerate(re.split(r"\{(\d*)\}|(%s)", first.value)):
        if index % 3 == 0:
            parts += [Constant(part)] if part else []
        elif index % 3 == 1 and (part is not None):
            place = int(part) if part else number
            number += 1
            parts.append(_at(values, place))
        elif index % 3 == 2 and part is not None:
            parts.append(_at(values, number))
            number += 1
    return writer._join(parts)[0]  # noqa: SLF001 - a part of the writer


def _at(values: Sequence[Node], place: int) -> Node:
    if place >= len(values):
        raise ForeignError("the format has more places than values")
    return values[place]


def _as_shift(writer: _Writer, node: Call) -> str | None:
    sign = "-" if re.search("minus|sub", node.name.lower()) else "+"
    if len(node.arguments) < 2:
        return None
    of, amount, *unit = node.arguments
    if isinstance(amount, Constant) and isinstance(amount.value, str) and not unit:
        span = amount.value.replace(" ", "")
    elif isinstance(amount, Pairs):
        span = "".join(_unit(name, value) for name, value in amount.pairs)
    elif unit and isinstance(unit[0], Constant) and isinstance(amount, Constant):
        span = _unit(str(unit[0].value), amount)
    else:
        span = _span(amount)
    return f"{writer.write(of, ATOM)}{sign}{span}" if span else None


def _first(index: int) -> _Special:
    return lambda writer, node: f"{writer.write(node.arguments[0], ATOM)}[{index}]" if node.arguments else None


def _same(writer: _Writer, node: Call) -> str | None:
    return writer.write(node.arguments[0], ATOM) if node.arguments else None


def _null_test(operator: str) -> _Special:
    return lambda writer, node: (
        f"({writer.write(node.arguments[0], COMPARE)} {operator} null)" if len(node.arguments) == 1 else None
    )


def _as_empty(writer: _Writer, node: Call) -> str | None:
    return f"(length({writer.write(node.arguments[0], PIPE)}) == 0)" if len(node.arguments) == 1 else None


def _as_concat(writer: _Writer, node: Call) -> str:
    return writer._join(list(node.arguments))[0]  # noqa: SLF001 - a part of the writer


def _as_slice(writer: _Writer, node: Call) -> str | None:
    bounds = [argument.value for argument in node.arguments[1:] if isinstance(argument, Constant)]
    if not node.is_method or len(bounds) != len(node.arguments) - 1:
        return None
    match node.arguments[0]:
        case Call("toISOString" | "isoformat" | "toISO", [of]) if bounds == [0, 10]:
            return f"format_time({writer.write(of, PIPE)}, '%Y-%m-%d', 'UTC')"
        case text if writer._is_text(text):  # noqa: SLF001 - a part of the writer
            raise ForeignError("a part of a text has no equivalent")
    return (
        f"{writer.write(node.arguments[0], ATOM)}[{':'.join(map(str, [*bounds, ''] if len(bounds) == 1 else bounds))}]"
    )


def _as_round(writer: _Writer, node: Call) -> str | None:
    if len(node.arguments) != 1:
        return None
    writer.certain = False
    return f"floor(add({writer.write(node.arguments[0], PIPE)}, 0.5))"


def _missing(writer: _Writer, node: Call) -> str | None:
    raise ForeignError(f"there is no function `{node.name}`")


_SPECIAL: Mapping[str, _Special] = {
    "join": _as_join,
    "map": _as_map,
    "filter": _as_filter,
    "get": _as_get,
    **dict.fromkeys(
        ("strftime", "date", "toFormat", "format_date", "date_format", "toISODate", "formatDate"), _as_time
    ),
    "format": _as_format,
    **dict.fromkeys(("plus", "minus", "subtract", "date_add", "dateAdd", "date_sub", "add_time"), _as_shift),
    "first": _first(0),
    "last": _first(-1),
    **dict.fromkeys(("toISOString", "isoformat", "iso", "safe", "e", "escape", "list", "toISO"), _same),
    **dict.fromkeys(("exists", "defined", "isset", "is_defined", "isNotNull", "notNull"), _null_test("!=")),
    **dict.fromkeys(("isNull", "is_null", "isNone"), _null_test("==")),
    **dict.fromkeys(("empty", "isEmpty", "is_empty"), _as_empty),
    **dict.fromkeys(("concat",), _as_concat),
    "slice": _as_slice,
    "round": _as_round,
    **dict.fromkeys(("success", "succeeded"), lambda _writer, node: None if node.arguments else "true"),
    **dict.fromkeys(("always", "failure", "cancelled", "failed"), _missing),
    **dict.fromkeys(("trim", "strip", "title", "capitalize", "unique"), _missing),
}
