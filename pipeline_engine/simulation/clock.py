"""A clock that advances only on request."""

from datetime import datetime, timedelta

from ordinaut.clock import EPOCH

LAST_US = 253_370_764_800_000_000
"""The year 9999, in microseconds since 1970 UTC: the latest simulated time."""


class VirtualClock:
    """A clock at `now_us`, microseconds since 1970 UTC."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self._first_us = now_us

    def now(self) -> datetime:
        """Returns the current time, aware, UTC."""
        return EPOCH + timedelta(microseconds=self.now_us)

    def monotonic(self) -> float:
        """Returns the seconds since the clock was created."""
        return (self.now_us - self._first_us) / 1_000_000

    def advance_to(self, time_us: int) -> None:
        """Advances to a time; an earlier time changes nothing."""
        self.now_us = max(self.now_us, time_us)
