"""Every statement of the store in PostgreSQL: it prepares, and its plan reads few rows."""

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ordinaut.store import event
from ordinaut.store.queue import due_work_claim, due_work_enqueue, due_work_recover, lease, overlap, wait
from ordinaut.store.sql import Queries, Query, sql_files
from ordinaut.store.tasks import backfill, cursor, occurrence, task_health, unsettled_range
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, settle

FILES = list(sql_files().values())


async def test_every_block_of_every_file_prepares(rig: Rig) -> None:
    refused: dict[str, str] = {}
    async with rig.database.connection() as connection:
        for path in FILES:
            for query in Queries(str(path)).queries.values():
                try:
                    await connection.prepare(query.text)
                except asyncpg.PostgresError as problem:
                    refused[query.name] = str(problem)
    assert refused == {}


@pytest.mark.parametrize(
    ("query", "row_type"),
    [
        (cursor.SQL.unplanned, cursor.PendingCursor),
        (cursor.SQL.outdated, cursor.PendingCursor),
        (cursor.SQL.late, cursor.PendingCursor),
        (cursor.SQL.pause_task, cursor.TaskName),
        (cursor.SQL.complete_tasks, cursor.TaskName),
        (unsettled_range.SQL.read, unsettled_range.UnsettledRange),
        (occurrence.SQL.merged, occurrence.MergedRow),
        (backfill.SQL.claim, backfill.RunningBackfill),
        (backfill.SQL.lock, backfill.LockedBackfill),
        (backfill.SQL.examine, backfill.ExaminedInstant),
        (overlap.SQL.release_blocked, overlap.Released),
        (due_work_claim.SQL.claim, due_work_claim.ClaimedRun),
        (due_work_claim.SQL.claim_quarantined, due_work_claim.ClaimedRun),
        (due_work_claim.SQL.journal_of, due_work_claim.JournaledStep),
        (due_work_claim.SQL.leased_rows, due_work_claim.LeasedRow),
        (due_work_claim.SQL.depth, due_work_claim.QueueDepth),
        (due_work_claim.SQL.queue_place, due_work_claim.QueuePlace),
        (due_work_enqueue.SQL.enqueue_manual, due_work_enqueue.Enqueued),
        (wait.SQL.open, wait.OpenWait),
        (wait.SQL.unscanned, wait.OpenWait),
        (wait.SQL.journaled, wait.JournaledWait),
        (wait.SQL.expire, wait.ExpiredWait),
        (event.SQL.read, event.LogEntry),
        (event.SQL.triggers, event.EventTrigger),
        (task_health.SQL.lock, task_health.TaskHealth),
        (task_health.SQL.take_overdue, task_health.OverdueTask),
    ],
    ids=lambda value: value.name if isinstance(value, Query) else value.__name__,
)
async def test_columns_are_in_the_order_of_the_fields_they_fill(query: Query, row_type: type, rig: Rig) -> None:
    """The store builds these rows by position."""
    assert await _columns(rig, query) == [field.name for field in fields(row_type)]


async def test_unsent_rows_have_the_columns_of_an_entry_and_an_age(rig: Rig) -> None:
    assert await _columns(rig, event.SQL.unsent) == [*(field.name for field in fields(event.LogEntry)), "age"]


async def _columns(rig: Rig, query: Query) -> list[str]:
    async with rig.database.connection() as connection:
        return [column.name for column in (await connection.prepare(query.text)).get_attributes()]


async def _explained(rig: Rig, query: Query, **arguments: Any) -> list[dict[str, Any]]:
    """The nodes of an executed plan; what it changed is taken back."""
    async with rig.database.connection() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            ordered = [arguments[name] for name in query.parameters]
            text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.text}", *ordered)
        finally:
            await transaction.rollback()
    nodes: list[dict[str, Any]] = []
    waiting = [json.loads(text)[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes


def _rows_read(nodes: list[dict[str, Any]], index: str) -> float:
    return sum(
        float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes
        if node.get("Index Name") == index
    )


def _reads_the_whole_queue(nodes: list[dict[str, Any]]) -> bool:
    return any(node["Node Type"] == "Seq Scan" and node["Relation Name"] == "due_work" for node in nodes)


async def test_a_batch_that_fires_reads_its_own_rows_and_compares_none_with_each_other(rig: Rig) -> None:
    for _ in range(60):
        await rig.task({"cron": "* * * * *"})
    await settle(rig, LoopRunner(rig.database, rig.settings))
    await rig.turn_clock(minutes=1)
    nodes = await _explained(rig, cursor.SQL.fire, batch=20)
    assert _rows_read(nodes, "cursor_due") == 20
    assert max(node.get("Rows Removed by Join Filter", 0) for node in nodes) == 0
    assert max(float(node["Actual Rows"] * node["Actual Loops"]) for node in nodes) == 20


async def test_a_claim_reads_only_what_it_takes_whatever_else_lies_in_the_queue(rig: Rig) -> None:
    arguments = {
        "lease": await rig.lease(),
        "classes": list(due_work_claim.CLASSES),
        "hints": [due_work_claim.LOWEST] * 9,
        "batch": 50,
    }
    await rig.queue(100_000, state="DELAYED", ready_in=3600)
    await rig.execute("ANALYZE due_work")
    idle = await _explained(rig, due_work_claim.SQL.claim, **arguments)
    assert (_rows_read(idle, "due_work_claim"), _reads_the_whole_queue(idle)) == (0, False)
    await rig.queue(5_000, priority=7)
    await rig.queue(5_000, priority=2)
    await rig.execute("ANALYZE due_work")
    busy = await _explained(rig, due_work_claim.SQL.claim, **arguments)
    assert (_rows_read(busy, "due_work_claim"), _reads_the_whole_queue(busy)) == (50, False)


async def test_what_is_asked_again_and_again_never_reads_the_whole_queue(rig: Rig) -> None:
    for _ in range(20):
        await rig.lease(1)
    await rig.turn_clock(hours=1)
    holder = await rig.lease()
    await rig.queue(20_000)
    await rig.execute("ANALYZE due_work")
    claim, recover = due_work_claim.SQL, due_work_recover.SQL
    reads = (claim.leased_rows, claim.cancel_requests, claim.has_quarantined, recover.seconds_to_promotion)
    duties = (recover.rescue, recover.promote, recover.end_unclaimed, lease.SQL.delete_expired, lease.SQL.delete_unused)
    for query in (*reads, *duties):
        nodes = await _explained(rig, query, lease=holder, batch=200)
        assert not _reads_the_whole_queue(nodes), query.name


async def test_a_backfill_reads_the_runs_that_it_asks_about_and_no_others(rig: Rig) -> None:
    task, begin = await rig.task({"interval": "60s"}), rig.now
    instants = [begin + minute * timedelta(minutes=1) for minute in range(100)]
    holder = await rig.lease(10**7)
    await rig.queue(3_000)
    while claimed := await rig.claim(holder, 1000):
        await rig.complete(holder, *claimed, state="FAILED")
    await rig.execute(
        "INSERT INTO occurrence (project, task, key, trigger, instant, outcome, run, create_time) "
        "SELECT 'default', $1, 'k' || place, 't0', $2::timestamptz + place * interval '1 minute', 'ENQUEUED', id, $2 "
        "FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM run LIMIT 100) AS ran", task, begin,
    )  # fmt: skip
    await rig.execute("ANALYZE run")
    asked = {
        "task": task,
        "reprocess": "FAILED",
        "settled_until": instants[-1],
        "instants": instants,
        "keys": ["x"] * 100,
    }
    nodes = await _explained(rig, backfill.SQL.examine, **asked)
    indexes = {node["Index Name"] for node in nodes if str(node.get("Index Name")).startswith("run_2")}
    assert 100 <= sum(_rows_read(nodes, index) for index in indexes) <= 200
