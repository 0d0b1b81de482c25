"""What a check collects: every problem of a document, with its place and, where it is certain, its repair."""

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
    """A place in the document: for people (`steps[2].if`) and for JSON Patch (`/steps/2/if`)."""

    field: str = ""
    pointer: str = ""

    def key(self, name: str) -> "Place":
        """A member of the object here."""
        escaped = name.replace("~", "~0").replace("/", "~1")
        return Place(f"{self.field}.{name}" if self.field else name, f"{self.pointer}/{escaped}")

    def item(self, index: int) -> "Place":
        """An element of the array here."""
        return Place(f"{self.field}[{index}]", f"{self.pointer}/{index}")

    def below(self, pointer: str) -> "Place":
        """What an RFC 6901 pointer leads to from here."""
        parts = pointer.split("/")[1:]
        field = self.field + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
        return Place(field, self.pointer + pointer)

    def replace(self, value: Any) -> Operation:
        """The operation that puts another value here."""
        return {"op": "replace", "path": self.pointer, "value": value}

    def add(self, value: Any) -> Operation:
        """The operation that puts a value here where there is none."""
        return {"op": "add", "path": self.pointer, "value": value}

    def remove(self) -> Operation:
        """The operation that takes away what is here."""
        return {"op": "remove", "path": self.pointer}

    def move_from(self, other: "Place") -> Operation:
        """The operation that brings here what is there."""
        return {"op": "move", "from": other.pointer, "path": self.pointer}


@dataclass(slots=True)
class Findings:
    """Problems and warnings, in the order of the document; at most 200 of each are kept.

    `advice` are those of the warnings that a fix would end.
    """

    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    advice: list[Violation] = field(default_factory=list)

    def problem(
        self,
        place: Place,
        message: str,
        reason: ErrorReason.ValueType = ErrorReason.INVALID_PIPELINE,
        fix: tuple[str, Sequence[Operation]] | None = None,
    ) -> None:
        """Notes a problem; `fix` is its explanation and its JSON Patch."""
        if len(self.violations) < MAX_VIOLATIONS:
            repair = Repair(fix[0], fix[1]) if fix else None
            self.violations.append(Violation(place.field, printable(message), reason, repair))

    def warn(self, place: Place, message: str, fix: tuple[str, Sequence[Operation]] | None = None) -> None:
        """Notes what is accepted and probably not meant."""
        if len(self.warnings) < MAX_VIOLATIONS:
            self.warnings.append(f"{place.field}: {message}")
            if fix is not None:
                self.advice.append(Violation(place.field, message, repair=Repair(fix[0], fix[1])))


def nearest(name: str, candidates: Sequence[str], cutoff: float = 0.6) -> str | None:
    """The candidate that was probably meant; None when none is close."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(name.lower(), by_lower, 1, cutoff)
    return by_lower[found[0]] if found else None
