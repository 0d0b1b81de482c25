"""Limits on what an expression may cost and produce."""

import math
from collections.abc import Mapping
from typing import Any

from ordinaut.expressions.errors import ExpressionError, Kind
from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH

MAX_LENGTH = 4096
"""Characters of one expression."""
MAX_NODES = 500
MAX_DEPTH = 48
MAX_FUEL = 200_000
"""What one evaluation may cost: an element costs one for each part of the expression that looks at it."""
SCALARS = frozenset({str, int, float, bool, type(None)})
CHARACTERS_PER_FUEL = 64
MAX_RUN_FUEL = 10_000_000
"""What all expressions of one run may cost together while an engine holds it."""
MAX_STEP_FUEL = 250_000
"""What they may cost until the engine can turn to other runs."""
YIELD_FUEL = 50_000
"""After so much it should."""


class Account:
    """What the expressions of one run have cost together."""

    __slots__ = ("remaining", "since_yield")

    def __init__(self) -> None:
        self.remaining = MAX_RUN_FUEL
        self.since_yield = 0

    def spend(self, fuel: int) -> None:
        """Pays for one evaluation.

        Raises:
            ExpressionError: the run has become too costly, or has taken too long without a pause.
        """
        self.remaining -= fuel
        self.since_yield += fuel
        if self.remaining < 0 or self.since_yield > MAX_STEP_FUEL:
            what = "run" if self.remaining < 0 else "step"
            raise ExpressionError(Kind.LIMIT, f"the expressions of this {what} do too much work together")

    def spend_on_text(self, characters: int) -> None:
        """Pays for making a text.

        Raises:
            ExpressionError: as `spend`.
        """
        self.spend(characters // CHARACTERS_PER_FUEL + 1)

    @property
    def should_yield(self) -> bool:
        """Whether other runs should get their turn."""
        return self.since_yield > YIELD_FUEL

    def yielded(self) -> None:
        """Others have had their turn."""
        self.since_yield = 0


class Scope:
    """One evaluation: what the root names are, and how much it may still cost."""

    __slots__ = ("fuel", "roots")

    def __init__(self, roots: Mapping[str, Any]) -> None:
        self.roots = roots
        self.fuel = MAX_FUEL

    def spend(self, elements: int) -> None:
        """Pays for touching so many values.

        Raises:
            ExpressionError: the evaluation has become too costly.
        """
        self.fuel -= elements
        if self.fuel < 0:
            raise ExpressionError(
                Kind.LIMIT, "the expression does too much work: too many elements, or too much done to each"
            )

    def spend_on(self, value: Any) -> None:
        """Pays for copying or comparing a value without looking into its parts.

        Raises:
            ExpressionError: the evaluation has become too costly.
        """
        kind = type(value)
        if kind is str:
            self.spend(len(value) // CHARACTERS_PER_FUEL + 1)
        else:
            self.spend(len(value) + 1 if kind is list or kind is dict else 1)

    def spend_deeply(self, value: Any) -> None:
        """Pays for a value in full depth, before something walks it.

        Raises:
            ExpressionError: it is larger than 1 MiB, too costly, too deep or not finite.
        """
        if type(value) in SCALARS:
            size = len(value) if type(value) is str else 1
            if size > MAX_JSON_BYTES:
                raise ExpressionError(Kind.LIMIT, "a text is larger than 1 MiB")
            self.spend(size // CHARACTERS_PER_FUEL + 1)
        else:
            self.spend(measure(value)[1])


def measure(value: Any) -> tuple[int, int]:
    """About how many characters a JSON value has and of how many elements it is made.

    Shared parts count each time, so that a value that multiplies when written is found before it is written.

    Raises:
        ExpressionError: more than 1 MiB, deeper than 64 levels, or a number is not finite.
    """
    size = count = depth = 0
    layer: list[Any] = [value]
    while layer:
        below: list[Any] = []
        for item in layer:
            kind = type(item)
            if kind is str:
                size += len(item) + 2
            elif kind is list:
                below.extend(item)
                size += len(item) + 2
            elif kind is dict:
                below.extend(item.values())
                size += 2 + sum(map(len, item)) + 4 * len(item)
            else:
                size += 4
                if kind is float and not math.isfinite(item):
                    raise ExpressionError(Kind.VALUE, "a number is not finite")
            if size > MAX_JSON_BYTES:
                raise ExpressionError(Kind.LIMIT, "the value is larger than 1 MiB")
        count += len(layer)
        depth += bool(below)
        if depth > MAX_JSON_DEPTH:
            raise ExpressionError(Kind.LIMIT, f"the value is nested deeper than {MAX_JSON_DEPTH} levels")
        layer = below
    return size, count
