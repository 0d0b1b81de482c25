"""Several triggers as one."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from scheduler.triggers.trigger import Firing, TimeTrigger


class UnionTrigger(TimeTrigger):
    """Fires whenever one of its triggers does; instants that fall together are one."""

    __slots__ = ("triggers",)
    kind: ClassVar[str] = "union"

    def __init__(self, triggers: Sequence[TimeTrigger]) -> None:
        self.triggers = tuple(triggers)

    def after(self, instant: datetime) -> Firing | None:
        """The earliest firing of its triggers strictly after the instant."""
        found = self.first(instant)
        return found[1] if found else None

    def first(self, instant: datetime) -> tuple[int, Firing] | None:
        """The earliest firing and the place of its trigger; at one instant, the first in the list."""
        found = [
            (firing.time, place, firing)
            for place, trigger in enumerate(self.triggers)
            if (firing := trigger.after(instant)) is not None
        ]
        if not found:
            return None
        _, place, firing = min(found, key=lambda entry: entry[:2])
        return place, firing
