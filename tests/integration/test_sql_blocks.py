"""Every statement of the store in PostgreSQL: it prepares, and its plan reads few rows."""

import json
from datetime import timedelta
from typing import Any

import asyncpg

from ordinaut.store import backfill, cursor, due_work_claim, due_work_recover, lease
from ordinaut.store.sql import FOLDER, Queries, Query
from tests.integration.queue_rig import Rig
from tests.integration.scheduler_rig import Clockwork, settle

FILES = sorted(FOLDER.glob("*.sql"))


async def test_every_block_of_every_file_prepares(rig: Rig) -> None:
    errors: dict[str, str] = {}
    async with rig.database.connection() as connection:
        for path in FILES:
            for query in Queries(str(path)).queries.values():
                try:
                    await connection.prepare(query.text)
                except asyncpg.PostgresError as problem:
                    errors[query.name] = str(problem)
    assert errors == {}


async def _explained(rig: Rig, query: Query, **arguments: Any) -> list[dict[str, Any]]:
    """The nodes of an executed plan; its changes are rolled back."""
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


async def test_firing_reads_only_its_batch_and_joins_without_nested_loops(rig: Rig) -> None:
    for _ in range(60):
        await rig.task({"cron": "* * * * *"})
    await settle(rig, Clockwork(rig.database, rig.settings))
    await rig.turn_clock(minutes=1)
    nodes = await _explained(rig, cursor.SQL.fire, batch=20)
    assert _rows_read(nodes, "cursor_due") == 20
    assert max(node.get("Rows Removed by Join Filter", 0) for node in nodes) == 0
    assert max(float(node["Actual Rows"] * node["Actual Loops"]) for node in nodes) == 20


async def test_a_claim_reads_only_the_rows_that_it_takes(rig: Rig) -> None:
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


async def test_frequent_statements_never_scan_the_whole_queue(rig: Rig) -> None:
    for _ in range(20):
        await rig.lease(1)
    await rig.turn_clock(hours=1)
    holder = await rig.lease()
    await rig.queue(20_000)
    await rig.execute("ANALYZE due_work")
    claim, recover = due_work_claim.SQL, due_work_recover.SQL
    reads = (claim.leased_rows, claim.cancel_requests, claim.has_quarantined, recover.seconds_to_promotion)
    duties = (recover.rescue, recover.promote, recover.end_unclaimed, lease.SQL.forget_expired, lease.SQL.delete_unused)
    for query in (*reads, *duties):
        nodes = await _explained(rig, query, lease=holder, batch=200)
        assert not _reads_the_whole_queue(nodes), query.name


async def test_a_backfill_reads_only_the_runs_of_its_instants(rig: Rig) -> None:
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
    arguments = {
        "task": task,
        "reprocess": "FAILED",
        "accounted": instants[-1],
        "instants": instants,
        "keys": ["x"] * 100,
    }
    nodes = await _explained(rig, backfill.SQL.examine, **arguments)
    indexes = {node["Index Name"] for node in nodes if str(node.get("Index Name")).startswith("run_2")}
    assert 100 <= sum(_rows_read(nodes, index) for index in indexes) <= 200
