"""Time as an argument: what the processes measure by, so that tests and simulations can turn it."""

import time
from datetime import UTC, datetime
from typing import Protocol


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


class OffsetClock:
    """The database's clock, kept as its distance to this process's monotonic one.

    Read the database once a tick and `set` it; between two readings `now` goes on with the monotonic clock.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def set(self, database_now: datetime) -> None:
        """Takes what the database said just now."""
        self._offset = database_now.timestamp() - time.monotonic()

    def now(self) -> datetime:
        """The database's moment, aware, UTC.

        Raises:
            RuntimeError: the database was never asked.
        """
        if self._offset is None:
            raise RuntimeError("the database's clock has not been read")
        return datetime.fromtimestamp(time.monotonic() + self._offset, UTC)

    def monotonic(self) -> float:
        """Seconds that only ever rise."""
        return time.monotonic()
