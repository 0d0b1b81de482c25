"""A time that passes only when it is told to."""

from datetime import datetime, timedelta

from ordinaut.clock import EPOCH

LAST_US = 253_370_764_800_000_000
"""The year 9999: no time passes beyond."""


class VirtualClock:
    """A clock that stands at `now_us`, microseconds since 1970 UTC."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self._first_us = now_us

    def now(self) -> datetime:
        """The moment, aware, UTC."""
        return EPOCH + timedelta(microseconds=self.now_us)

    def monotonic(self) -> float:
        """Seconds since the clock's beginning."""
        return (self.now_us - self._first_us) / 1_000_000

    def move_to(self, moment_us: int) -> None:
        """Lets time pass up to a moment; never goes back."""
        self.now_us = max(self.now_us, moment_us)
