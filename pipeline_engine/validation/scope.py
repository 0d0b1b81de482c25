"""What is visible at a place of a document."""

import re
from dataclasses import dataclass, replace
from typing import Any

_SLICE = re.compile(r"\[\s*-?\d*\s*:\s*\d+\s*\]")


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of steps that have run before, and what surrounds the place."""

    steps: tuple[str, ...] = ()
    in_handler: bool = False
    in_loop: bool = False
    in_unbounded_loop: bool = False

    def seeing(self, names: tuple[str, ...]) -> "Scope":
        """The same behind steps of these names; who has no valid name cannot be referred to."""
        return replace(self, steps=(*self.steps, *(name for name in names if not name.startswith("?"))))

    def handling(self) -> "Scope":
        """The same inside of `on_error`."""
        return replace(self, in_handler=True)

    def looping(self, *, bounded: bool) -> "Scope":
        """The same inside of a `foreach`."""
        return replace(self, in_loop=True, in_unbounded_loop=self.in_unbounded_loop or not bounded)


def is_bounded(foreach: Any) -> bool:
    """Whether the document says how many elements there are at most: a list, or an expression with a slice."""
    return isinstance(foreach, list) or bool(_SLICE.search(foreach))
