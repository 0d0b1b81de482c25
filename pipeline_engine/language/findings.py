"""The problems and warnings that a check collects, each with its place and, when it is certain, a repair."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ordinaut.errors import Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.failure import printable

MAX_VIOLATIONS = 200
Operation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the document: as a field path (`steps[2].if`) and as a JSON pointer (`/steps/2/if`)."""

    field: str = ""
    pointer: str = ""

    def key(self, name: str) -> "Place":
        """Returns the place of a member of this object."""
        escaped = name.replace("~", "~0").replace("/", "~1")
        return Place(f"{self.field}.{name}" if self.field else name, f"{self.pointer}/{escaped}")

    def item(self, index: int) -> "Place":
        """Returns the place of an element of this array."""
        return Place(f"{self.field}[{index}]", f"{self.pointer}/{index}")

    def below(self, pointer: str) -> "Place":
        """Returns the place at an RFC 6901 pointer below this one."""
        parts = pointer.split("/")[1:]
        field = self.field + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
        return Place(field, self.pointer + pointer)

    def replace(self, value: Any) -> Operation:
        """Returns the operation that replaces the value."""
        return {"op": "replace", "path": self.pointer, "value": value}

    def add(self, value: Any) -> Operation:
        """Returns the operation that adds the missing value."""
        return {"op": "add", "path": self.pointer, "value": value}

    def remove(self) -> Operation:
        """Returns the operation that removes the value."""
        return {"op": "remove", "path": self.pointer}

    def move_from(self, source: "Place") -> Operation:
        """Returns the operation that moves the value of `source` to this place."""
        return {"op": "move", "from": source.pointer, "path": self.pointer}


@dataclass(slots=True)
class Findings:
    """Problems and warnings in document order, at most 200 of each.

    `source` is the text of the document, in which `mentions` looks for names. `warning_fixes` are the warnings that
    have a fix.
    """

    source: str = ""
    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warning_fixes: list[Violation] = field(default_factory=list)

    def problem(
        self,
        place: Place,
        message: str,
        reason: ErrorReason.ValueType = ErrorReason.INVALID_PIPELINE,
        fix: tuple[str, Sequence[Operation]] | None = None,
    ) -> None:
        """Adds a problem; `fix` is an explanation and a JSON Patch."""
        if len(self.violations) < MAX_VIOLATIONS:
            repair = Repair(fix[0], fix[1]) if fix else None
            self.violations.append(Violation(place.field, printable(message), reason, repair))

    def mentions(self, pattern: str) -> int:
        """How often a regular expression occurs in the text of the document."""
        return len(re.findall(pattern, self.source))

    def warn(self, place: Place, message: str, fix: tuple[str, Sequence[Operation]] | None = None) -> None:
        """Adds a warning: the document is valid, but probably not as intended."""
        if len(self.warnings) < MAX_VIOLATIONS:
            self.warnings.append(f"{place.field}: {message}")
            if fix is not None:
                self.warning_fixes.append(Violation(place.field, message, repair=Repair(fix[0], fix[1])))


def nearest(name: str, candidates: Sequence[str], cutoff: float = 0.6) -> str | None:
    """Returns the candidate that was probably intended; None when no candidate is similar."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    matches = get_close_matches(name.lower(), by_lower, 1, cutoff)
    return by_lower[matches[0]] if matches else None
