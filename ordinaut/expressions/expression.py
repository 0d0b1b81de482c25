"""An expression: compiled once, evaluated on root names many times."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jmespath.exceptions
from jmespath.parser import Parser

from ordinaut.expressions.bounds import MAX_DEPTH, MAX_FUEL, MAX_LENGTH, SCALARS, Account, Scope, measure
from ordinaut.expressions.compare import truthy
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.evaluate import Compiler
from ordinaut.expressions.paths import Key, Node, lenient_path, static_path, strict_path
from ordinaut.expressions.rewrite import to_jmespath
from ordinaut.expressions.tokens import OPENS, Token, tokenize
from ordinaut.expressions.traps import refuse_traps


class Evaluation(Protocol):
    """From root names to a value, paid for from `account` where there is one."""

    def __call__(self, roots: Mapping[str, Any], account: Account | None = None, /) -> Any:
        """The value."""
        ...


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `references` are the paths that it reads from the roots, such as `("steps", "a", "x")`; `names` is every name in it
    that may be a root, also inside of filters. `evaluate` takes a dict of
    the root names; its value shares parts with them. It raises ExpressionError: wrong types, over a limit, or (strict)
    a missing path.
    """

    text: str
    references: tuple[tuple[Key, ...], ...]
    names: frozenset[str]
    evaluate: Evaluation
    is_path: bool

    def holds(self, roots: Mapping[str, Any], account: Account | None = None) -> bool:
        """Whether the value counts as true.

        Raises:
            ExpressionError: as `evaluate`.
        """
        return truthy(self.evaluate(roots, account))


@lru_cache(maxsize=2048)
def compile_expression(text: str, *, strict: bool = False) -> Expression:
    """Reads an expression of at most 4 KiB; the last 2048 are kept.

    `strict` makes a missing path an error, except under default(), `||`, `&&`, `!` and comparisons.

    Raises:
        ExpressionError: it cannot be read, is too large, or is a known trap; often with a repair.
    """
    tree = _parse(text)
    path = static_path(tree)
    if path is not None:
        walk = strict_path(path) if strict else lenient_path(path)
        return Expression(text, (path,), frozenset({str(path[0])}), lambda roots, _account=None: walk(roots), True)
    compiler = Compiler()
    evaluate = compiler.compile(tree, head=True, nested=False, strict=strict)

    def bounded(roots: Mapping[str, Any], account: Account | None = None) -> Any:
        scope = Scope(roots)
        try:
            value = evaluate(roots, scope)
            if type(value) not in SCALARS or type(value) is str or type(value) is float:
                scope.fuel -= measure(value)[1]
        finally:
            if account is not None:
                account.spend(MAX_FUEL - scope.fuel + 1)
        return value

    return Expression(text, tuple(compiler.references), frozenset(compiler.names), bounded, False)


def _parse(text: str) -> Node:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(Kind.LIMIT, f"an expression has at most {MAX_LENGTH} characters")
    tokens = tokenize(text)
    if not tokens:
        raise ExpressionError(Kind.SYNTAX, "the expression is empty")
    _refuse_depth(tokens)
    refuse_traps(text, tokens)
    try:
        tree: Node = Parser().parse(to_jmespath(tokens)).parsed
    except ExpressionError:
        raise
    except RecursionError:
        raise ExpressionError(Kind.LIMIT, "the expression is nested too deep") from None
    except (jmespath.exceptions.JMESPathError, ValueError) as failure:
        raise ExpressionError(Kind.SYNTAX, f"`{text[:100]}` cannot be read: {_first_line(failure)}") from None
    return tree


def _first_line(failure: Exception) -> str:
    lines = str(failure).splitlines()
    return lines[0][:200] if lines else type(failure).__name__


def _refuse_depth(tokens: list[Token]) -> None:
    depth = deepest = 0
    for token in tokens:
        depth += (token.text in OPENS) - (token.text in {")", "]", "}"})
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or sum(token.text in {"!", "&"} for token in tokens) > 2 * MAX_DEPTH:
        raise ExpressionError(Kind.LIMIT, f"an expression is nested at most {MAX_DEPTH} levels deep")
