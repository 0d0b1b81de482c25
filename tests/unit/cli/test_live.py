"""A watched run is printed as lines."""

from datetime import UTC, datetime

from ordinaut.cli.run_display import lines
from ordinaut.v1.run_pb2 import Run, Wait


def test_a_waiting_run_names_the_awaited_topic() -> None:
    wait = Wait(step="reply", kind=Wait.EVENT, topic="order.done")
    wait.deadline.FromDatetime(datetime(2026, 12, 24, 18, tzinfo=UTC))
    first, last = lines(Run(name="runs/1", state=Run.WAITING, waits=[wait]))
    assert first.startswith("reply WAITING for order.done until 2026-12-24")
    assert last == "runs/1 WAITING"


def test_a_run_that_waits_for_a_run_names_it() -> None:
    wait = Wait(step="report", kind=Wait.CHILD, run="runs/2")
    assert lines(Run(name="runs/1", state=Run.WAITING, waits=[wait]))[0] == "report WAITING for runs/2"
