"""One measured figure beside what it must be and what we aim at."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["aim", "must", "missed", ""]


@dataclass(frozen=True)
class Row:
    """A figure; without `must` it is only told. Smaller is better, unless `rises`."""

    what: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    rises: bool = False

    @property
    def verdict(self) -> Verdict:
        """Which of the two it reaches."""
        if self.must is None or self.aim is None:
            return ""
        if self._reaches(self.aim):
            return "aim"
        return "must" if self._reaches(self.must) else "missed"

    def _reaches(self, target: float) -> bool:
        return self.value >= target if self.rises else self.value <= target
