"""This machine's own clock."""

from datetime import timedelta

from ordinaut.clock import ProcessClock


def test_the_process_clock_is_aware_and_its_other_face_only_rises() -> None:
    clock = ProcessClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()
