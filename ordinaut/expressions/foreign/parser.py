"""Parses expressions of these languages: by the precedence of operators that they share."""

import json
from collections.abc import Collection
from typing import Any

from ordinaut.expressions.foreign.lexer import ForeignError, Token, tokens_of
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
from ordinaut.expressions.foreign.vocabulary import FILTERS, TESTS

DEPTH_MAX = 60
_LEVELS: list[dict[str, str]] = [
    {"||": "||", "or": "||", "OR": "||", "??": "??"},
    {"&&": "&&", "and": "&&", "AND": "&&", "&": "&&"},
]
_COMPARISONS = {
    **{symbol: symbol for symbol in ("==", "!=", "<", "<=", ">", ">=")},
    "===": "==",
    "!==": "!=",
    "<>": "!=",
    "=": "==",
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "lt": "<",
    "ge": ">=",
    "gte": ">=",
    "le": "<=",
    "lte": "<=",
    "equals": "==",
}
_UNIT_WORDS = {
    **{f"{name}{plural}": name[0] for name in ("second", "minute", "hour", "day", "week") for plural in ("", "s")},
    "mins": "m",
    "secs": "s",
}
_CONSTANTS: dict[str, Any] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    **dict.fromkeys(("null", "None", "none", "nil", "undefined", "NULL", "Null"), None),
}


def parse(text: str, dashed: Collection[str] = ()) -> Node:
    """The syntax tree of an expression; `dashed` are names that contain dashes.

    Raises:
        ForeignError: it is none of these languages.
    """
    parser = _Parser(tokens_of(text, dashed), dashed)
    node = parser.expression()
    if parser.at < len(parser.tokens):
        raise ForeignError(f"unexpected `{parser.tokens[parser.at].text}` at position {parser.tokens[parser.at].start}")
    return node


class _Parser:
    def __init__(self, tokens: list[Token], dashed: Collection[str]) -> None:
        self.tokens, self.at, self._dashed, self._depth = tokens, 0, dashed, 0

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ForeignError("nested too deeply")
        node = self._pipe()
        if self._takes("?"):
            yes = self.expression()
            self._expect(":")
            node = Choice(node, yes, self.expression())
        elif self._takes("if"):
            condition = self._binary(0)
            node = Choice(condition, node, self.expression() if self._takes("else") else None)
        self._depth -= 1
        return node

    def _pipe(self) -> Node:
        node = self._binary(0)
        while self._takes("|"):
            node = Binary("|", node, self._binary(0))
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._not()
        node = self._binary(level + 1)
        while (operator := _LEVELS[level].get(self._text())) is not None and self._kind() in {"operator", "name"}:
            self.at += 1
            node = Binary(operator, node, self._binary(level + 1))
        return node

    def _not(self) -> Node:
        if self._kind() == "name" and self._text() in {"not", "NOT"} and self._text(1) not in {"", ".", ")"}:
            self.at += 1
            return Unary("!", self._not())
        return self._comparison()

    def _comparison(self) -> Node:
        node = self._sum()
        while True:
            text, kind = self._text(), self._kind()
            if kind in {"operator", "name"} and text in _COMPARISONS and self._has_operand():
                self.at += 1
                operator, right = _COMPARISONS[text], self._sum()
                match node:
                    case Binary("<" | "<=" | ">" | ">=", _, middle) if operator in {"<", "<=", ">", ">="}:
                        node = Binary("&&", node, Binary(operator, middle, right))  # `10 < x < 40` of Python
                    case _:
                        node = Binary(operator, node, right)
            elif kind == "name" and text == "between" and self._has_operand():
                node = self._between(node)
            elif kind == "name" and text == "is":
                node = self._test(node)
            elif kind == "name" and text in {"in", "contains"} and self._has_operand():
                self.at += 1
                right = self._sum()
                node = Binary("in", node, right) if text == "in" else Binary("in", right, node)
            elif kind == "name" and text == "not" and self._text(1) == "in":
                self.at += 2
                node = Unary("!", Binary("in", node, self._sum()))
            else:
                return node

    def _between(self, node: Node) -> Node:
        """`x between a and b`, with both bounds."""
        self.at += 1
        low = self._sum()
        if not (self._takes("and") or self._takes("AND") or self._takes("&&")):
            raise ForeignError("expected `and` after the first bound of `between`")
        return Binary("&&", Binary(">=", node, low), Binary("<=", node, self._sum()))

    def _has_operand(self) -> bool:
        return self.at + 1 < len(self.tokens)

    def _test(self, node: Node) -> Node:
        self.at += 1
        negated = self._takes("not")
        name = self._text()
        if name in TESTS:
            self.at += 1
            result = TESTS[name](node)
        else:
            result = Binary("==", node, self._sum())
        return Unary("!", result) if negated else result

    def _sum(self) -> Node:
        node = self._product()
        while self._kind() == "operator" and self._text() in {"+", "-", "~"}:
            operator = self._text()
            self.at += 1
            node = Binary(operator, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._kind() == "operator" and self._text() in {"*", "/", "%", "//"} and self._has_operand():
            operator = self._text()
            self.at += 1
            node = Binary(operator, node, self._unary())
        return node

    def _unary(self) -> Node:
        text = self._text()
        if self._kind() == "operator" and text in {"!", "-", "&", "+"}:
            self.at += 1
            operand = self._unary()
            if text == "-" and isinstance(operand, Constant) and isinstance(operand.value, int | float):
                return Constant(-operand.value)
            return operand if text == "+" else Unary(text, operand)
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.text in {".", "?."} and token.kind == "operator":
                self.at += 1
                node = self._member(node)
            elif token.text in {"[", "[?"} and token.kind == "operator":
                node = self._bracket(node)
            elif token.text == "|" and self._is_filter():
                self.at += 1
                node = self._filter(node)
            elif token.text == "(" and isinstance(node, Name):
                node = self._call(node.name)
            else:
                return node
        return node

    def _is_filter(self) -> bool:
        """Whether `|` is followed by a filter of Jinja, and not by a JMESPath expression over `@`."""
        name = self._text(1)
        if self._kind(1) != "name" or name not in FILTERS:
            return False
        depth, place = 0, self.at + 2
        while place < len(self.tokens) and self._text(place - self.at) not in {"|", "&&", "||", "and", "or"}:
            text = self.tokens[place].text
            depth += (text == "(") - (text == ")")
            if text == "@" and depth:
                return False
            if depth <= 0:
                break
            place += 1
        return True

    def _filter(self, node: Node) -> Node:
        name = self._text()
        self.at += 1
        arguments, named = self._arguments() if self._text() == "(" else ([], [])
        if self._text() == ":" and self.tokens[self.at].joined:  # Liquid: `x | date: "%Y"`
            self.at += 1
            arguments.append(self._binary(0))
            while self._takes(","):
                arguments.append(self._binary(0))
        return Call(name, [node, *arguments], named, is_method=True)

    def _member(self, node: Node) -> Node:
        kind, text = self._kind(), self._text()
        if kind == "operator" and text == "*":
            self.at += 1
            return Part(node, ".*")
        if kind == "operator" and text in {"[", "{"}:
            return Select(node, self._primary())
        if kind == "text":
            self.at += 1
            return Member(node, str(self.tokens[self.at - 1].value))
        if kind == "number" and text.isdecimal():
            self.at += 1
            return Element(node, int(text))
        if kind not in {"name", "span"}:
            raise ForeignError(f"expected a name after `.`, found `{text}`")
        self.at += 1
        if self._text() == "(" and self._kind() == "operator" and self.tokens[self.at].joined:
            arguments, named = self._arguments()
            return Call(text, [node, *arguments], named, is_method=True)
        return Member(node, text)

    def _bracket(self, node: Node) -> Node:
        opener = self._text()
        self.at += 1
        if opener == "[?":
            condition = self.expression()
            self._expect("]")
            return Where(node, condition)
        if self._takes("]"):
            return Part(node, "[]")
        if self._takes("*"):
            self._expect("]")
            return Part(node, "[*]")
        start = self.at
        while self.at < len(self.tokens) and self._text() != "]":
            self.at += 1
        inside = self.tokens[start : self.at]
        self._expect("]")
        if any(token.text == ":" for token in inside):
            return Part(node, f"[{''.join(token.text for token in inside)}]")
        return self._subscript(node, inside)

    def _subscript(self, node: Node, inside: list[Token]) -> Node:
        words = "".join(token.text for token in inside)
        if len(inside) == 1 and inside[0].kind == "text":
            return Member(node, str(inside[0].value))
        if words.lstrip("-").isdecimal():
            return Element(node, int(words))
        raise ForeignError(f"`[{words[:40]}]` must be a number or a text")

    def _primary(self) -> Node:  # noqa: PLR0911 - one for each kind of token
        if self.at >= len(self.tokens):
            raise ForeignError("the expression ends too early")
        token = self.tokens[self.at]
        self.at += 1
        match token.kind:
            case "text":
                return Constant(token.value)
            case "format":
                return Text(_parts(str(token.value), self._dashed))
            case "literal":
                return _backticks(token.text, self._dashed)
            case "number" if self._kind() == "name" and token.text.isdecimal() and self._text() in _UNIT_WORDS:
                self.at += 1
                return Span(token.text + _UNIT_WORDS[self._text(-1)])
            case "number":
                return Constant(float(token.text) if set(token.text) & set(".eE") else int(token.text))
            case "span":
                return Span(token.text)
            case "name":
                return self._name(token)
        return self._bracketed(token)

    def _name(self, token: Token) -> Node:
        if token.text in _CONSTANTS and self._text() != "(":
            return Constant(_CONSTANTS[token.text])
        if self._text() == "=>":
            self.at += 1
            return Lambda(token.text, self.expression())
        if token.text == "new":
            return self._postfix(self._primary())
        return Name(token.text)

    def _bracketed(self, token: Token) -> Node:
        if token.text == "(":
            node = self.expression()
            self._expect(")")
            if self._takes("=>") and isinstance(node, Name):
                return Lambda(node.name, self.expression())
            return node
        if token.text == "[":
            items = self._list("]")
            return Items(items)
        if token.text == "{":
            return self._object()
        raise ForeignError(f"unexpected `{token.text}` at position {token.start}")

    def _list(self, closing: str) -> list[Node]:
        items: list[Node] = []
        while not self._takes(closing):
            items.append(self.expression())
            if not self._takes(","):
                self._expect(closing)
                break
        return items

    def _object(self) -> Node:
        pairs: list[tuple[str, Node]] = []
        while not self._takes("}"):
            token = self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "")
            if token.kind not in {"name", "text"}:
                raise ForeignError(f"expected a key, found `{token.text}`")
            self.at += 1
            self._expect(":")
            pairs.append((str(token.value if token.kind == "text" else token.text), self.expression()))
            if not self._takes(","):
                self._expect("}")
                break
        return Pairs(pairs)

    def _call(self, name: str) -> Node:
        arguments, named = self._arguments()
        return Call(name, arguments, named)

    def _arguments(self) -> tuple[list[Node], list[tuple[str, Node]]]:
        self._expect("(")
        arguments: list[Node] = []
        named: list[tuple[str, Node]] = []
        while not self._takes(")"):
            if self._kind() == "name" and self._text(1) == "=" and self._kind(1) == "operator":
                name = self._text()
                self.at += 2
                named.append((name, self.expression()))
            else:
                arguments.append(self.expression())
            if not self._takes(","):
                self._expect(")")
                break
        return arguments, named

    def _text(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def _kind(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].kind if place < len(self.tokens) else "end"

    def _takes(self, text: str) -> bool:
        if self._text() != text or self._kind() not in {"operator", "name"}:
            return False
        self.at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            found = self._text()
            raise ForeignError(f"expected `{text}`, found `{found}`" if found else f"expected `{text}` at the end")


def _backticks(text: str, dashed: Collection[str]) -> Node:
    """A literal of JMESPath, or a template literal of JavaScript."""
    inner = text[1:-1]
    try:
        value = json.loads(inner.replace("\\`", "`"))
    except ValueError:
        return Text(_parts(inner.replace("${", "{"), dashed))
    return _constant(value)


def _constant(value: Any) -> Node:
    if isinstance(value, list):
        return Items([_constant(item) for item in value])
    if isinstance(value, dict):
        return Pairs([(key, _constant(item)) for key, item in value.items()])
    return Constant(value)


def _parts(text: str, dashed: Collection[str]) -> list[str | Node]:
    """The parts of a format string: `{{` is a brace, `{x}` a value, `{x:.1f}` a value whose format is left out."""
    parts: list[str | Node] = []
    literal, place = "", 0
    while place < len(text):
        if text[place : place + 2] in {"{{", "}}"}:
            literal, place = literal + text[place], place + 2
        elif text[place] == "{":
            end = text.find("}", place)
            if end < 0:
                raise ForeignError("`{` is not closed")
            parts += [literal] if literal else []
            literal = ""
            parts.append(parse(text[place + 1 : end], dashed))
            place = end + 1
        else:
            literal, place = literal + text[place], place + 1
    return [*parts, literal] if literal else parts
