"""Every statement of the store, as PostgreSQL sees it."""

import json
from typing import Any

import pytest

from ordinaut.store import due_work, lease
from ordinaut.store.sql import FOLDER, Queries, Query
from tests.integration.queue_rig import Rig

FILES = sorted(path for path in FOLDER.glob("*.sql"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_every_block_prepares(path: Any, rig: Rig) -> None:
    async with rig.database.connection() as connection:
        for query in Queries(str(path)).queries.values():
            await connection.prepare(query.text)


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


async def test_a_claim_reads_only_what_it_takes_whatever_else_lies_in_the_queue(rig: Rig) -> None:
    holder = await rig.lease()
    await rig.queue(100_000, state="DELAYED", ready_in=3600)
    await rig.queue(5_000, priority=7)
    await rig.queue(5_000, priority=2)
    await rig.execute("ANALYZE due_work")
    arguments = {"lease": holder, "classes": list(due_work.CLASSES), "hints": [due_work.LOWEST] * 9, "batch": 50}
    nodes = await _explained(rig, due_work.SQL.claim, **arguments)
    assert _rows_read(nodes, "due_work_claim") == 50
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "due_work"]


async def test_an_empty_look_at_the_queue_reads_nothing(rig: Rig) -> None:
    holder = await rig.lease()
    await rig.queue(100_000, state="DELAYED", ready_in=3600)
    await rig.execute("ANALYZE due_work")
    arguments = {"lease": holder, "classes": list(due_work.CLASSES), "hints": [due_work.LOWEST] * 9, "batch": 50}
    nodes = await _explained(rig, due_work.SQL.claim, **arguments)
    assert _rows_read(nodes, "due_work_claim") == 0
    assert {node.get("Relation Name") for node in nodes if node["Node Type"] == "Seq Scan"} <= {"lease", "project"}


@pytest.mark.parametrize("name", ["rescue", "held", "cancels", "promote", "end_unclaimed", "has_suspects"])
async def test_what_is_asked_again_and_again_never_reads_the_whole_queue(name: str, rig: Rig) -> None:
    holder = await rig.lease()
    await rig.queue(50_000)
    await rig.execute("ANALYZE due_work")
    nodes = await _explained(rig, due_work.SQL.queries[name], lease=holder, batch=200)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "due_work"]


async def test_forgetting_leases_never_reads_the_whole_queue(rig: Rig) -> None:
    for _ in range(20):
        await rig.lease(1)
    await rig.turn_clock(hours=1)
    await rig.queue(50_000)
    await rig.execute("ANALYZE due_work")
    nodes = await _explained(rig, lease.SQL.forget_expired)
    nodes += await _explained(rig, lease.SQL.give_up, lease=await rig.lease())
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "due_work"]
