"""Reads what an entry of `match_todo` has to evaluate next."""

from collections.abc import Sequence
from uuid import UUID

from ordinaut.store import event, match_todo
from ordinaut.store.event import LogEntry
from ordinaut.store.match_todo import Todo
from ordinaut.store.queue import wait
from ordinaut.store.queue.wait import OpenWait
from ordinaut.store.sql import Connection
from scheduler.conditions.work import Work
from scheduler.events.log_entry import first_bytes
from scheduler.events.wait_window import read_transactions

CONDITIONS = 200
ROWS = 50
ROW_BYTES = 1024 * 1024


async def read(connection: Connection, todo: Todo, seconds: float) -> tuple[Work, int]:
    """The next conditions and events of a locked entry; the position up to which these are all of its events."""
    rows, last = await _rows(connection, todo)
    total = len(todo.triggers) + len(todo.runs)
    first = todo.next if total > CONDITIONS else 0
    ids = todo.triggers[first : first + CONDITIONS]
    triggers = {trigger.id: trigger for trigger in await match_todo.triggers(connection, ids)}
    without = [trigger for trigger in ids if trigger not in triggers]
    await match_todo.hold_paused(connection, todo, without, todo.after)
    keys = wait_keys(todo, first)
    open_waits = await wait.named(connection, [run for run, _ in keys], [path for _, path in keys]) if keys else []
    by_key = {(each.run, each.path): each for each in open_waits}
    waits: list[OpenWait | None] = [by_key.get(key) for key in keys]
    work = Work(
        rows=rows,
        after=todo.after,
        ranges=[(part.after, part.until) for part in todo.parts],
        first=first,
        next=todo.next,
        total=total,
        triggers=[triggers.get(trigger) for trigger in ids],
        waits=waits,
        transactions=await read_transactions(connection, [row.id for row in rows], open_waits),
        seconds=seconds,
    )
    return work, last


def wait_keys(todo: Todo, first: int) -> list[tuple[UUID, str]]:
    """The waits among the conditions of an entry from a place on, at most `CONDITIONS` with the triggers."""
    start = max(first - len(todo.triggers), 0)
    end = max(first + CONDITIONS - len(todo.triggers), 0)
    return list(zip(todo.runs[start:end], todo.paths[start:end], strict=True))


async def _rows(connection: Connection, todo: Todo) -> tuple[Sequence[LogEntry], int]:
    page = await event.read(connection, project=todo.project, after=todo.after, batch=ROWS)
    inside = [row for row in page if row.position <= todo.until]
    rows = first_bytes(inside, ROW_BYTES)
    if len(rows) == len(inside) and (len(inside) < len(page) or len(page) < ROWS):
        return rows, todo.until
    return rows, min(rows[-1].position + rows[-1].count - 1, todo.until)
