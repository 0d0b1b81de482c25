"""The syntax tree of an expression in the languages that people mix: JMESPath, Jinja, JavaScript, Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, boolean or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Span:
    """A duration such as `24h`."""

    text: str


@dataclass(frozen=True, slots=True)
class Name:
    """A root name; `$` and `@` are names as well."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`of.key`, or `of["key"]`."""

    of: "Node"
    key: str


@dataclass(frozen=True, slots=True)
class Element:
    """`of[index]`."""

    of: "Node"
    index: int


@dataclass(frozen=True, slots=True)
class Part:
    """A projection or slice of a list: `text` is `[*]`, `[]`, `[1:3]` or `.*`."""

    of: "Node"
    text: str


@dataclass(frozen=True, slots=True)
class Where:
    """`of[?condition]`."""

    of: "Node"
    condition: "Node"


@dataclass(frozen=True, slots=True)
class Select:
    """`of.[a, b]` or `of.{x: a}`: `inner` is evaluated on each element."""

    of: "Node"
    inner: "Node"


@dataclass(frozen=True, slots=True)
class Call:
    """A function, filter or method; the value of a filter or method is the first argument. `named` are keywords."""

    name: str
    arguments: Sequence["Node"]
    named: Sequence[tuple[str, "Node"]] = ()
    is_method: bool = False


@dataclass(frozen=True, slots=True)
class Unary:
    """`operator` is `!`, `-` or `&`."""

    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` in the spelling of JMESPath, or one of `+ - * / % in ?? ~ |`."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? yes : no`; `no` is None in `yes if condition`."""

    condition: "Node"
    yes: "Node"
    no: "Node | None"


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """An object."""

    pairs: Sequence[tuple[str, "Node"]]


@dataclass(frozen=True, slots=True)
class Lambda:
    """`x => body`."""

    name: str
    body: "Node"


@dataclass(frozen=True, slots=True)
class Text:
    """A string with values in it: an f-string, or a template literal."""

    parts: Sequence["str | Node"]


Node = (
    Constant
    | Span
    | Name
    | Member
    | Element
    | Part
    | Where
    | Select
    | Call
    | Unary
    | Binary
    | Choice
    | Items
    | Pairs
    | Lambda
    | Text
)
