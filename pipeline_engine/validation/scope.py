"""The names that are visible at a place of a document."""

import re
from dataclasses import dataclass, replace
from typing import Any

_SLICE = re.compile(r"\[\s*-?\d*\s*:\s*\d+\s*\]")


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of the steps that have run before a place, and the constructs that enclose it."""

    steps: tuple[str, ...] = ()
    in_handler: bool = False
    in_finally: bool = False
    in_loop: bool = False
    in_unbounded_loop: bool = False

    def seeing(self, names: tuple[str, ...]) -> "Scope":
        """Returns the scope after steps with these names; a step without a valid name cannot be referenced."""
        return replace(self, steps=(*self.steps, *(name for name in names if not name.startswith("?"))))

    def handling(self) -> "Scope":
        """Returns the scope inside `on_error`."""
        return replace(self, in_handler=True)

    def ending(self) -> "Scope":
        """Returns the scope inside `finally`."""
        return replace(self, in_finally=True)

    def looping(self, *, bounded: bool) -> "Scope":
        """Returns the scope inside a `foreach`."""
        return replace(self, in_loop=True, in_unbounded_loop=self.in_unbounded_loop or not bounded)


def is_bounded(foreach: Any) -> bool:
    """Whether the document limits the number of elements: a literal list, or an expression with a slice.

    >>> is_bounded("steps.a.items[:20]"), is_bounded("steps.a.items")
    (True, False)
    """
    return isinstance(foreach, list) or bool(_SLICE.search(foreach))
