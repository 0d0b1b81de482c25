"""Which events of the log count for a wait, besides its topic and condition.

Without `since` these are the events that were published after the run was created. They are recognised by position: a
time would make a wait blind for as long as the database's clock was ahead when the run was created. Events that were
published before it but numbered after it are recognised by the transaction that published them. Where that does not
decide, because an older transaction was still open, an event counts: a run may see an event from just before it was
created, but misses none.
"""

from collections.abc import Iterable, Mapping

from ordinaut.store import event
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from scheduler.events.logged_event import LoggedEvent

Transactions = Mapping[int, int]
"""The ids of transactions (xid), by the ids of the rows that they added to the log."""


async def read_transactions(connection: Connection, rows: Iterable[int], waits: Iterable[OpenWait]) -> Transactions:
    """The transactions of those rows that may be older than a run which waits; in most cases there are none."""
    newest = max((open_wait.log_outbox_id for open_wait in waits if open_wait.since is None), default=0)
    older = [row for row in rows if row <= newest]
    return await event.transactions(connection, older) if older else {}


def is_in_window(open_wait: OpenWait, logged: LoggedEvent, row: int, transactions: Transactions) -> bool:
    """Whether an event of a row of the log was published in time for the wait, and was not taken by an earlier one."""
    if logged.position in open_wait.taken or _is_late(open_wait, logged):
        return False
    if open_wait.since is not None:
        return logged.time >= open_wait.since
    return logged.position > open_wait.log_position and not _is_older(open_wait, row, transactions)


def _is_late(open_wait: OpenWait, logged: LoggedEvent) -> bool:
    """Whether an event was published after the deadline.

    No event is late that was in the log when the wait was stored, or that comes before the deadline has passed, even if
    the database's clock was wrong when one of them was stored.
    """
    return (
        open_wait.deadline is not None
        and open_wait.is_due
        and logged.position > open_wait.create_position
        and logged.time > open_wait.deadline
    )


def _is_older(open_wait: OpenWait, row: int, transactions: Transactions) -> bool:
    xid = transactions.get(row)
    return row <= open_wait.log_outbox_id and xid is not None and xid < open_wait.log_xid
