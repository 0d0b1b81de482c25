"""The database's clock, kept between readings."""

from datetime import UTC, datetime, timedelta

import pytest

from ordinaut.clock import OffsetClock, ProcessClock


def test_the_databases_clock_goes_on_between_readings_whatever_this_machines_says() -> None:
    clock = OffsetClock()
    future = datetime.now(UTC) + timedelta(days=3650)
    clock.set(future)
    assert timedelta(0) <= clock.now() - future < timedelta(seconds=5)


def test_a_clock_that_was_never_set_tells_no_time() -> None:
    with pytest.raises(RuntimeError):
        OffsetClock().now()


def test_the_process_clock_is_aware_and_its_other_face_only_rises() -> None:
    clock = ProcessClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()
