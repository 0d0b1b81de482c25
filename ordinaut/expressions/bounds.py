"""Limits on the cost and the result of expressions.

Cost is counted in fuel, which is deterministic, unlike time: the same expression on the same data fails or succeeds on
every machine, so that a replay gives the same result.
"""

import math
from collections.abc import Mapping
from typing import Any

from ordinaut.expressions.errors import ExpressionError, FuelError, Kind
from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH

MAX_LENGTH = 4096
"""Characters of one expression."""
MAX_NODES = 500
"""Nodes of one syntax tree."""
MAX_DEPTH = 48
"""Nesting of one syntax tree; far below the recursion limit of the parser."""
MAX_FUEL = 200_000
"""Fuel of one evaluation: an element costs 1 for each node of the expression that is evaluated on it."""
SCALARS = frozenset({str, int, float, bool, type(None)})
CHARACTERS_PER_FUEL = 64
MAX_RUN_FUEL = 10_000_000
"""Fuel of all expressions of one run while one engine holds it."""
MAX_STEP_FUEL = 250_000
"""Fuel that a run may use between two yields to the event loop, hence in one step."""
YIELD_FUEL = 50_000
"""Fuel after which a run should yield to the event loop, so that other runs continue."""


class Account:
    """The fuel that the expressions of one run have used.

    MAX_FUEL limits a single evaluation, but a run makes many of them. The account limits their sum, and signals when
    the interpreter should yield. An evaluation cannot be interrupted, therefore MAX_STEP_FUEL, the hard limit between
    two yields, exceeds YIELD_FUEL, the soft one, by a full evaluation.
    """

    __slots__ = ("remaining", "since_yield")

    def __init__(self) -> None:
        self.remaining = MAX_RUN_FUEL
        self.since_yield = 0

    def spend(self, fuel: int) -> None:
        """Charges the cost of one evaluation.

        Raises:
            ExpressionError: the run exceeds MAX_RUN_FUEL, or MAX_STEP_FUEL without a yield.
        """
        self.remaining -= fuel
        self.since_yield += fuel
        if self.remaining < 0 or self.since_yield > MAX_STEP_FUEL:
            scope, limit = ("run", MAX_RUN_FUEL) if self.remaining < 0 else ("step", MAX_STEP_FUEL)
            raise ExpressionError(Kind.LIMIT, f"the expressions of this {scope} exceed {limit} element visits")

    def spend_on_text(self, characters: int) -> None:
        """Charges the cost of building a string.

        Raises:
            ExpressionError: as `spend`.
        """
        self.spend(characters // CHARACTERS_PER_FUEL + 1)

    @property
    def should_yield(self) -> bool:
        """Whether the interpreter should yield to other runs."""
        return self.since_yield > YIELD_FUEL

    def yielded(self) -> None:
        """Records that the interpreter has yielded."""
        self.since_yield = 0


class Scope:
    """One evaluation: its root names, its limit of fuel and what remains of it.

    The cost of an operation is charged before the operation, so that an evaluation ends soon after its limit.
    """

    __slots__ = ("fuel", "limit", "roots")

    def __init__(self, roots: Mapping[str, Any], limit: int = MAX_FUEL) -> None:
        self.roots = roots
        self.fuel = self.limit = limit

    def spend(self, elements: int) -> None:
        """Charges 1 for each of `elements` values.

        Raises:
            FuelError: the evaluation exceeds its limit.
        """
        self.fuel -= elements
        if self.fuel < 0:
            raise FuelError(
                f"the expression exceeds {self.limit} element visits: use fewer elements or do less with each"
            )

    def spend_on_characters(self, count: int) -> None:
        """Charges for reading or writing that many characters.

        Raises:
            FuelError: as `spend`.
        """
        self.spend(count // CHARACTERS_PER_FUEL + 1)

    def spend_on(self, value: Any) -> None:
        """Charges for a shallow copy or comparison of a value.

        Raises:
            FuelError: as `spend`.
        """
        kind = type(value)
        if kind is str:
            self.spend(len(value) // CHARACTERS_PER_FUEL + 1)
        else:
            self.spend(len(value) + 1 if kind is list or kind is dict else 1)

    def spend_deeply(self, value: Any) -> None:
        """Charges for a value with all nested values, before a function traverses it.

        Raises:
            FuelError: as `spend`; the traversal that counts the elements ends there as well.
            ExpressionError: the value exceeds 1 MiB or the nesting limit, or contains a non-finite number.
        """
        if type(value) in SCALARS:
            size = len(value) if type(value) is str else 1
            if size > MAX_JSON_BYTES:
                raise ExpressionError(Kind.LIMIT, "the string exceeds 1 MiB")
            self.spend(size // CHARACTERS_PER_FUEL + 1)
        else:
            self.spend(measure(value, self.fuel)[1])


def measure(value: Any, most: int | None = None) -> tuple[int, int]:
    """Returns the approximate number of characters of a JSON value and its number of elements.

    A value with more than `most` elements is not counted further: the result is then any number above `most`.

    Raises:
        ExpressionError: the value exceeds 1 MiB or 64 levels, or contains a non-finite number.
    """
    # Values share parts: `[x, x]` holds one x in memory and writes it twice, and ten nested multi-selects of that kind
    # turn 1 KB in memory into 1 MB of JSON. Shared parts are therefore counted at each place, and the walk is
    # breadth-first with a check after each element, so that it stops soon after the limit and needs no recursion.
    size = count = depth = 0
    layer: list[Any] = [value]
    while layer:
        below: list[Any] = []
        for item in layer:
            kind = type(item)
            if kind is list or kind is dict:
                if most is not None and count + len(layer) + len(below) + len(item) > most:
                    return size, most + 1
                below.extend(item if kind is list else item.values())
                size += 2 + (len(item) if kind is list else sum(map(len, item)) + 4 * len(item))
            elif kind is str:
                size += len(item) + 2
            else:
                size += 4
                if kind is float and not math.isfinite(item):
                    raise ExpressionError(Kind.VALUE, "numbers must be finite")
            if size > MAX_JSON_BYTES:
                raise ExpressionError(Kind.LIMIT, "the value exceeds 1 MiB of JSON")
        count += len(layer)
        depth += bool(below)
        if depth > MAX_JSON_DEPTH:
            raise ExpressionError(Kind.LIMIT, f"the value must be nested at most {MAX_JSON_DEPTH} levels deep")
        layer = below
    return size, count
