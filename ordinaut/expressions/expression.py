"""Compiled expressions: parsed once, evaluated many times on root names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jmespath.exceptions
from jmespath.parser import Parser

from ordinaut.expressions.bounds import MAX_DEPTH, MAX_FUEL, MAX_LENGTH, SCALARS, Scope, measure
from ordinaut.expressions.compare import truthy
from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.expressions.evaluate import Compiler
from ordinaut.expressions.paths import Key, Node, lenient_path, static_path, strict_path
from ordinaut.expressions.placeholders import refuse_placeholders
from ordinaut.expressions.rewrite import to_jmespath
from ordinaut.expressions.semantics import CURRENT, FIRST
from ordinaut.expressions.tokens import OPENS, Token, tokenize
from ordinaut.expressions.traps import refuse_traps


class Meter(Protocol):
    """What the cost of evaluations is charged to."""

    def spend(self, fuel: int) -> None:
        """Charges the cost of one evaluation."""
        ...


class Evaluation(Protocol):
    """Evaluates on root names; the cost is charged to `account`, if given."""

    def __call__(self, roots: Mapping[str, Any], account: Meter | None = None, fuel: int = MAX_FUEL, /) -> Any:
        """The value; FuelError if it takes more than `fuel`."""
        ...


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    `references` are the paths that it reads from the roots, such as `("steps", "a", "x")`; `inner_references` are paths
    inside filters, projections and multi-selects of elements, which are read from the roots where the element does not
    have them; `element_references` are paths through `[*]` or a filter, with the index 0 in its place; `names` are all
    names in it that may be roots, including those inside filters. `evaluate` takes a dict of root names; its result
    shares parts with them. It raises ExpressionError for wrong types, exceeded limits and, if strict, missing paths.
    """

    text: str
    references: tuple[tuple[Key, ...], ...]
    names: frozenset[str]
    evaluate: Evaluation
    is_path: bool
    inner_references: tuple[tuple[Key, ...], ...] = ()
    element_references: tuple[tuple[Key, ...], ...] = ()
    nodes: int = 1

    def holds(self, roots: Mapping[str, Any], account: Meter | None = None, fuel: int = MAX_FUEL) -> bool:
        """Whether the result is truthy.

        Raises:
            ExpressionError: as `evaluate`.
        """
        return truthy(self.evaluate(roots, account, fuel))


@lru_cache(maxsize=2048)
def compile_expression(text: str, *, strict: bool = False, semantics: int = CURRENT) -> Expression:
    """Compiles an expression of at most 4096 characters; the 2048 most recently used ones are cached.

    `strict` makes a missing path an error, except under default(), `||`, `&&`, `!` and comparisons. `semantics` is the
    revision of the meaning, see `semantics`.

    >>> roots = {"params": {"min": 20}, "steps": {"weather": {"days": [{"t": 18}, {"t": 25}]}}}
    >>> compile_expression("steps.weather.days[?t > params.min].t").evaluate(roots)
    [25]
    >>> compile_expression("length(steps.weather.days) == 2").holds(roots)
    True
    >>> compile_expression("now+24h").evaluate({"now": "2026-01-31T08:00:00Z"})
    '2026-02-01T08:00:00Z'
    >>> print(compile_expression("steps.mail.id").evaluate(roots))
    None

    Raises:
        ExpressionError: the expression cannot be parsed, is too large, or is ambiguous; often with a repair.
    """
    tree = _parse(text, semantics)
    path = static_path(tree)
    if path is not None:
        walk = strict_path(path) if strict else lenient_path(path)
        return Expression(
            text, (path,), frozenset({str(path[0])}), lambda roots, _account=None, _fuel=0: walk(roots), True
        )
    compiler = Compiler(checks_types=semantics > FIRST)
    evaluate = compiler.compile(tree, head=True, nested=False, strict=strict)

    # The result is measured as well: it may share parts and grow when it is written as JSON. The account is charged
    # also when the evaluation fails, because a pipeline can catch the error and evaluate again.
    def bounded(roots: Mapping[str, Any], account: Meter | None = None, fuel: int = MAX_FUEL) -> Any:
        scope = Scope(roots, fuel)
        try:
            value = evaluate(roots, scope)
            if type(value) not in SCALARS or type(value) is str or type(value) is float:
                scope.fuel -= measure(value, None if fuel == MAX_FUEL else max(scope.fuel, 0))[1]
        finally:
            if account is not None:
                account.spend(fuel - scope.fuel + 1)
        return value

    return Expression(
        text,
        tuple(compiler.references),
        frozenset(compiler.names),
        bounded,
        is_path=False,
        inner_references=tuple(compiler.inner_references),
        element_references=tuple(compiler.element_references),
        nodes=compiler.nodes,
    )


def _parse(text: str, semantics: int) -> Node:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(Kind.LIMIT, f"an expression must have at most {MAX_LENGTH} characters (got {len(text)})")
    tokens = tokenize(text)
    if not tokens:
        raise ExpressionError(Kind.SYNTAX, "the expression is empty")
    _refuse_depth(tokens)
    if semantics > FIRST:
        refuse_placeholders(text, tokens)
    refuse_traps(text, tokens)
    try:
        tree: Node = Parser().parse(to_jmespath(tokens)).parsed
    except ExpressionError:
        raise
    except RecursionError:
        raise ExpressionError(Kind.LIMIT, f"an expression must be nested at most {MAX_DEPTH} levels deep") from None
    except (jmespath.exceptions.JMESPathError, ValueError) as failure:
        raise ExpressionError(Kind.SYNTAX, f"cannot parse `{text[:100]}`: {_first_line(failure)}") from None
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
        raise ExpressionError(
            Kind.LIMIT, f"an expression must be nested at most {MAX_DEPTH} levels deep (got {deepest})"
        )
