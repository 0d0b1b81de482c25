"""The catch-up policy of a schedule: which missed instants still run."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scheduler.schedules.schedule import Instant, span

ON_TIME = timedelta(seconds=5)
"""An instant is missed if it starts later than this; the statements that fire cursors have the same limit."""

DEFAULT_WINDOW = timedelta(hours=24)
"""Of LATEST: a daily task still runs on the day that it was due."""

DEFAULT_MAX = 100
ALL, NONE = "ALL", "NONE"


@dataclass(frozen=True, slots=True)
class CatchUpPolicy:
    """`catch_up` of a schedule: the newest `keep` missed instants may run, if they are not older than `window`."""

    name: str
    keep: int
    window: timedelta | None

    @classmethod
    def of(cls, schedule: dict[str, Any]) -> "CatchUpPolicy":
        """The policy of a schedule in its stored JSON form."""
        written = schedule.get("catch_up", {})
        name = written.get("policy", "")
        keep = {ALL: int(written.get("max", 0)) or DEFAULT_MAX, NONE: 0}.get(name, 1)
        return cls(name, keep, span(written.get("window")))

    def is_too_late(self, instant: Instant, lateness: timedelta) -> bool:
        """Whether the instant is older than the window; without a window, `once` and ALL are never too late."""
        if lateness <= ON_TIME:
            return False
        window = self.window
        if window is None:
            if self.name == ALL or instant.kind == "once":
                return False
            window = DEFAULT_WINDOW
        return lateness > window

    @property
    def not_kept(self) -> tuple[str, str]:
        """Outcome and reason of missed instants which are not among the newest `keep`."""
        if self.name == NONE:
            return "MISSED", "missed ones are not caught up"
        if self.name == ALL:
            return "MISSED", f"only the newest {self.keep} are caught up"
        return "COALESCED", "a later one had passed as well"
