"""The system clock."""

from datetime import timedelta

from ordinaut.clock import ProcessClock


def test_the_clock_is_aware_and_its_monotonic_time_rises() -> None:
    clock = ProcessClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()
