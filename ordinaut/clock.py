"""Time as an argument: what the processes measure by, so that tests and simulations can turn it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Origin of every instant that is transmitted as microseconds."""
TICK = timedelta(microseconds=1)
"""Resolution of every stored instant."""


class Clock(Protocol):
    """Tells the time that decides what is due, and a time that only ever rises."""

    def now(self) -> datetime:
        """The moment, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment of this process; never goes back."""
        ...


class ProcessClock:
    """This machine's own clock. It never decides what is due: that is the database's."""

    def now(self) -> datetime:
        """The moment, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only ever rise."""
        return time.monotonic()
