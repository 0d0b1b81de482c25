"""Which events count for a wait, by position, transaction, deadline and what was taken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from ordinaut.store.queue.wait import OpenWait
from scheduler.events.logged_event import LoggedEvent
from scheduler.events.wait_window import is_in_window

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Of a run that was created when the log had 10 positions and 15 rows, and transaction 700 was the oldest open one.
WAIT = OpenWait(
    run=UUID(int=1), path="a", project="p", topic="t", match=None, since=None, log_position=10, log_outbox_id=15,
    log_xid=700, taken=frozenset(), deadline=None, is_due=False, create_position=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("position", "row", "xid", "counts"),
    [
        (10, 9, 600, False),  # numbered before
        (10, 9, 900, False),  # whatever the transaction
        (11, 15, 699, False),  # published before, numbered after
        (11, 15, 700, True),  # its transaction was open
        (11, 3, 900, True),  # an early id, committed late
        (11, 15, None, True),  # unknown
        (11, 16, 699, True),  # a later id: of a server in which transaction ids began again
    ],
)
def test_since_the_run_was_created(position: int, row: int, xid: int | None, counts: bool) -> None:
    logged = LoggedEvent("p", position, NOON, {})
    assert is_in_window(WAIT, logged, row, {} if xid is None else {row: xid}) is counts


@pytest.mark.parametrize(("hours", "counts"), [(-1, False), (0, True), (1, True)])
def test_since_a_time(hours: int, counts: bool) -> None:
    """Also from before the run."""
    logged = LoggedEvent("p", 3, NOON + hours * HOUR, {})
    assert is_in_window(replace(WAIT, since=NOON), logged, 3, {3: 600}) is counts


@pytest.mark.parametrize(
    ("position", "hours", "is_due", "counts"),
    [
        (21, 1, True, False),  # published after the deadline
        (21, 0, True, True),  # at the deadline
        (21, 1, False, True),  # the deadline has not passed: a clock was wrong
        (20, 1, True, True),  # it was there before the wait
    ],
)
def test_until_the_deadline(position: int, hours: int, is_due: bool, counts: bool) -> None:
    open_wait = replace(WAIT, deadline=NOON, is_due=is_due)
    assert is_in_window(open_wait, LoggedEvent("p", position, NOON + hours * HOUR, {}), 30, {}) is counts


@pytest.mark.parametrize("since", [None, NOON])
def test_not_what_was_taken(since: datetime | None) -> None:
    open_wait = replace(WAIT, since=since, taken=frozenset({12, 14}))
    events = [LoggedEvent("p", position, NOON, {}) for position in range(11, 16)]
    assert [event.position for event in events if is_in_window(open_wait, event, 30, {})] == [11, 13, 15]
