"""The end of a COUNT: counted once, then stored with the cursor of the schedule."""

from collections.abc import Callable
from datetime import datetime
from typing import Self
from zlib import crc32

from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.parse import Rule, parse_date_time
from scheduler.triggers.trigger import stamp


class CountEnd:
    """The last time that a rule's COUNT allows, computed on first use.

    The stored value has a checksum of the rule's text, so that it is used only for the rule that it was counted for.
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
        """The last time.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        if self._last is None:
            self._last = self._counted(self._count)
        return self._last

    def restore(self, stored: object) -> None:
        """Uses a value of `stored_form`; ignores anything that is not of this rule."""
        checksum, _, end = stored.partition(" ") if isinstance(stored, str) else ("", "", "")
        if self._last is not None or checksum != self._checksum:
            return
        try:
            time = parse_date_time(end)
        except ScheduleError:
            return
        if isinstance(time, datetime):
            self._last = time

    @property
    def stored_form(self) -> str:
        """The text to store with the cursor."""
        return f"{self._checksum} {stamp(self.last)}"
