"""Where a COUNT ends: counted once, then kept with the cursor of the schedule."""

from collections.abc import Callable
from datetime import datetime
from typing import Self
from zlib import crc32

from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.parse import Rule, parse_date_time
from scheduler.triggers.trigger import stamp


class CountEnd:
    """The last time that a rule's COUNT allows, worked out when it is first asked for.

    What is kept is bound to the rule's text by a checksum, so that it can speed an answer up but never change it.
    """

    __slots__ = ("_checksum", "_count", "_counted", "_last")

    def __init__(self, count: int, text: str, counted: Callable[[int], datetime]) -> None:
        self._count = count
        self._checksum = f"{crc32(text.encode()):08x}"
        self._counted = counted
        self._last: datetime | None = None

    @classmethod
    def of(cls, rule: Rule, text: str, counted: Callable[[int], datetime]) -> Self | None:
        """The end of the rule's COUNT; `counted` yields the n-th time. None without COUNT."""
        return None if rule.count is None else cls(rule.count, text, counted)

    @property
    def last(self) -> datetime:
        """The last time itself.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        if self._last is None:
            self._last = self._counted(self._count)
        return self._last

    def recall(self, kept: object) -> None:
        """Takes over what `kept` was before; anything that is not of this rule is ignored."""
        checksum, _, end = kept.partition(" ") if isinstance(kept, str) else ("", "", "")
        if self._last is not None or checksum != self._checksum:
            return
        try:
            found = parse_date_time(end)
        except ScheduleError:
            return
        if isinstance(found, datetime):
            self._last = found

    @property
    def kept(self) -> str:
        """What to keep with the cursor."""
        return f"{self._checksum} {stamp(self.last)}"
