"""Several triggers as one."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from scheduler.triggers.trigger import Firing, TimeTrigger


class UnionTrigger(TimeTrigger):
    """Fires whenever one of its triggers does; equal instants are one."""

    __slots__ = ("triggers",)
    kind: ClassVar[str] = "union"

    def __init__(self, triggers: Sequence[TimeTrigger]) -> None:
        self.triggers = tuple(triggers)

    def after(self, instant: datetime) -> Firing | None:
        """The earliest firing of its triggers strictly after the instant."""
        first = self.first(instant)
        return first[1] if first else None

    def first(self, instant: datetime) -> tuple[int, Firing] | None:
        """The index of a trigger and its firing: the earliest one, at equal instants that of the first trigger."""
        return min(self.firings(instant), key=lambda entry: (entry[1].time, entry[0]), default=None)

    def firings(self, instant: datetime) -> list[tuple[int, Firing]]:
        """The next firing of each trigger that has one, with the trigger's index."""
        candidates = [(place, trigger.after(instant)) for place, trigger in enumerate(self.triggers)]
        return [(place, firing) for place, firing in candidates if firing is not None]
