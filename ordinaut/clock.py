"""Time as an argument, so that tests and simulations can set it; the epoch and the resolution of instants."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Origin of every instant that is transmitted as microseconds."""
TICK = timedelta(microseconds=1)
"""Resolution of every stored instant."""


class Clock(Protocol):
    """Provides wall-clock time, and monotonic time for intervals."""

    def now(self) -> datetime:
        """Current time, timezone-aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never decreases."""
        ...


class ProcessClock:
    """The system clock of this machine. It never decides what is due: the database clock does."""

    def now(self) -> datetime:
        """Current time, timezone-aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never decreases."""
        return time.monotonic()
