"""Queued runs of a stream start in order of urgency."""

import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart
from pipeline_engine.stream.start_queue import StartQueue


def waiting(*priorities: int) -> StartQueue:
    """Returns a queue of runs with these priorities; their handles count from 1."""
    starts = StartQueue()
    for handle, priority in enumerate(priorities, 1):
        starts.add(RunStart(handle=handle, priority=priority))
    return starts


def taken(starts: StartQueue) -> list[int]:
    found = []
    while starts:
        found.append(starts.take().handle)
    return found


def test_the_most_urgent_run_starts_first_and_equals_in_order() -> None:
    assert taken(waiting(5, 9, 5, 1, 9, 1)) == [4, 6, 1, 3, 2, 5]


def test_a_later_urgent_run_overtakes_queued_runs() -> None:
    starts = waiting(5, 5)
    first = starts.take().handle
    starts.add(RunStart(handle=7, priority=1))
    assert (first, taken(starts)) == (1, [7, 2])


def test_a_removed_run_never_starts() -> None:
    starts = waiting(5, 5, 5)
    assert starts.remove(2)
    assert not starts.remove(2)
    assert 2 not in starts
    assert taken(starts) == [1, 3]


def test_clear_empties_the_queue() -> None:
    starts = waiting(1, 5)
    assert starts.clear() == 2
    assert not starts
    with pytest.raises(IndexError):
        starts.take()
