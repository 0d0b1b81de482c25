"""A measured figure and the targets that it is compared with."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["goal", "required", "missed", ""]


@dataclass(frozen=True)
class Row:
    """One line of the report: `value` in `unit` (empty for a ratio).

    A figure has both targets or neither. Lower values are better unless `higher_is_better`.
    """

    name: str
    value: float
    unit: str
    required: float | None = None
    goal: float | None = None
    higher_is_better: bool = False

    @property
    def verdict(self) -> Verdict:
        """The better of the two targets that the value reaches; empty for a figure without targets."""
        if self.required is None or self.goal is None:
            return ""
        if self._reaches(self.goal):
            return "goal"
        return "required" if self._reaches(self.required) else "missed"

    def _reaches(self, target: float) -> bool:
        return self.value >= target if self.higher_is_better else self.value <= target
