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
        firings = [
            (firing.time, place, firing)
            for place, trigger in enumerate(self.triggers)
            if (firing := trigger.after(instant)) is not None
        ]
        if not firings:
            return None
        _, place, firing = min(firings, key=lambda entry: entry[:2])
        return place, firing
