"""The chain of audit records: sealed by any scheduler, verified, dropped by retention, and never quietly changed."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from ordinaut.embedded.process import command
from ordinaut.store import audit, audit_seal
from ordinaut.store.audit_seal import Head
from ordinaut.store.audit_verify import Verified, verify
from ordinaut.store.database import Database
from scheduler.maintenance import audit_seal as sealing
from scheduler.maintenance.audit_seal import AuditSeal
from tests.patience import PATIENCE

PROJECT = "default"
# What somebody who owns the database can do: the triggers are disabled first.
TAMPERED = {
    "a content": ("UPDATE audit SET body = replace(body, '3', '4') WHERE id = 3", "ALTERED", 3),
    "a content and its hash": (
        "UPDATE audit SET body = 'false', body_hash = sha256('false') WHERE id = 3", "ALTERED", 3),
    "a time": ("UPDATE audit SET time = time - interval '1 day' WHERE id = 3", "ALTERED", 3),
    "a hash of the chain": ("UPDATE audit_seal SET hash = sha256('x') WHERE seq = 3", "ALTERED", 3),
    "a record is deleted": ("DELETE FROM audit WHERE id = 3", "MISSING", 3),
    "a record is moved to another project": ("UPDATE audit SET project = '_' WHERE id = 3", "MISSING", 3),
    "a seal is deleted": ("DELETE FROM audit_seal WHERE seq = 3", "MISSING", 3),
    "the first seal is deleted": ("DELETE FROM audit_seal WHERE seq = 1", "MISSING", 1),
    "a record and its seal are deleted": (
        "WITH gone AS (DELETE FROM audit_seal WHERE seq = 3 RETURNING entry) DELETE FROM audit USING gone"
        " WHERE id = entry", "MISSING", 3),
    "two contents are exchanged": (
        "UPDATE audit AS a SET body = b.body, body_hash = b.body_hash, time = b.time FROM audit AS b"
        " WHERE a.id + b.id = 7 AND a.id IN (3, 4)", "REORDERED", 3),
    "two seals are exchanged": (
        "UPDATE audit_seal SET seq = -seq WHERE seq IN (3, 4); UPDATE audit_seal SET seq = 7 + seq WHERE seq < 0",
        "REORDERED", 3),
    "a record is not sealed": (
        "DELETE FROM audit_todo; UPDATE audit SET time = time - interval '61 seconds' WHERE id = 6", "UNSEALED", 0),
}  # fmt: skip


async def write(database: Database, count: int, *, project: str = PROJECT) -> None:
    """Records with the numbers from 1 on, each in its own transaction."""
    for number in range(1, count + 1):
        async with database.transaction() as connection:
            await audit.write(connection, project, [audit.to_text({"method": "M", "number": number})])


async def verified(database: Database, anchors: Sequence[Head] = (), project: str = PROJECT) -> Verified:
    async with database.connection() as connection:
        return await verify(connection, project, anchors)


async def sealed(database: Database, count: int) -> Head:
    """A chain of `count` records; its head."""
    await write(database, count)
    await AuditSeal(database).run_once()
    async with database.connection() as connection:
        return await audit_seal.head(connection, PROJECT)


async def tamper(database: Database, statements: str) -> None:
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statements)


async def test_committed_records_are_chained_by_project(database: Database) -> None:
    await write(database, 3)
    await write(database, 2, project="_")
    before = await verified(database)
    assert (before.records, before.unsealed, before.problem) == (0, 3, None)
    assert not await AuditSeal(database).run_once()
    for project, count in ((PROJECT, 3), ("_", 2)):
        after = await verified(database, project=project)
        assert (after.records, after.head.seq, after.unsealed, after.problem) == (count, count, 0, None)


async def test_a_record_of_an_open_transaction_is_sealed_after_its_commit(database: Database) -> None:
    """Its id is smaller than that of a sealed record; it gets the next position."""
    async with database.transaction() as slow:
        await audit.write(slow, PROJECT, [audit.to_text({"number": 1})])
        await write(database, 2)
        await AuditSeal(database).run_once()
    assert (await verified(database)).unsealed == 1
    await AuditSeal(database).run_once()
    result = await verified(database)
    assert (result.head.seq, result.unsealed, result.problem) == (3, 0, None)


async def test_schedulers_extend_one_chain(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BATCH", 3)
    await write(database, 40)

    async def until_done() -> None:
        while await AuditSeal(database).run_once() or (await verified(database)).unsealed:
            continue

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(until_done() for _ in range(4)))
    result = await verified(database)
    assert (result.head.seq, result.problem) == (40, None)


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_changed_log_is_noticed(database: Database, what: str) -> None:
    """With the first position and the kind."""
    statements, kind, seq = TAMPERED[what]
    await sealed(database, 5)
    await write(database, 1)
    assert (await verified(database)).problem is None
    await tamper(database, statements)
    result = await verified(database)
    assert result.problem is not None
    assert (result.problem.kind, result.problem.seq) == (kind, seq)
    assert result.head.seq == (seq - 1 if seq else 5)


async def rewrite(database: Database) -> None:
    """A whole new chain over changed records, as a superuser can compute it."""
    await tamper(database, "UPDATE audit SET body = 'true', body_hash = sha256('true') WHERE id = 3")
    await tamper(database, "DELETE FROM audit_seal; INSERT INTO audit_todo SELECT id, project FROM audit")
    await AuditSeal(database).run_once()


async def test_a_rewritten_chain_is_noticed_by_an_anchor(database: Database) -> None:
    head = await sealed(database, 5)
    await rewrite(database)
    assert (await verified(database)).problem is None
    problem = (await verified(database, [head])).problem
    assert problem is not None
    assert (problem.kind, problem.seq) == ("ALTERED", 5)


async def test_a_chain_without_its_end_is_noticed_by_an_anchor(database: Database) -> None:
    head = await sealed(database, 5)
    await tamper(database, "DELETE FROM audit WHERE id > 3; DELETE FROM audit_seal WHERE entry > 3")
    assert (await verified(database)).problem is None
    problem = (await verified(database, [head])).problem
    assert problem is not None
    assert (problem.kind, problem.seq) == ("MISSING", 4)


async def test_a_sound_chain_agrees_with_all_anchors(database: Database) -> None:
    anchors = [await sealed(database, 2) for _ in range(3)]
    result = await verified(database, anchors)
    assert (result.head, result.problem) == (anchors[-1], None)


async def aged(database: Database, ids: str) -> None:
    await tamper(database, f"UPDATE audit SET time = time - interval '401 days' WHERE id {ids}")


async def test_retention_drops_the_beginning_of_a_chain(database: Database) -> None:
    """Up to a checkpoint from which the chain is verified; a newer record ends it."""
    await write(database, 6)
    await aged(database, "<> 3")
    await AuditSeal(database).run_once()
    whole = await verified(database)
    async with database.transaction() as connection:
        assert await audit_seal.drop(connection, PROJECT, timedelta(days=400), 10) == 2
    result = await verified(database, [whole.head])
    assert (result.dropped, result.records, result.head, result.problem) == (2, 4, whole.head, None)
    await sealed(database, 1)
    assert (await verified(database)).head.seq == 7


async def test_retention_drops_everything_in_batches(database: Database) -> None:
    await write(database, 5)
    await aged(database, "> 0")
    await AuditSeal(database).run_once()
    dropped = []
    for _ in range(4):
        async with database.transaction() as connection:
            dropped.append(await audit_seal.drop(connection, PROJECT, timedelta(days=400), 2))
    assert dropped == [2, 2, 1, 0]
    await sealed(database, 1)
    result = await verified(database)
    assert (result.dropped, result.head.seq, result.problem) == (5, 6, None)


async def test_an_erased_record_keeps_its_place(database: Database) -> None:
    """Its content is gone everywhere; the chain is sound, and the erasure is recorded."""
    await sealed(database, 3)
    async with database.transaction() as connection:
        assert await audit.erase(connection, project=PROJECT, ids=[2], reason="asked for by the person") == 1
    await AuditSeal(database).run_once()
    result = await verified(database)
    assert (result.head.seq, result.problem) == (4, None)
    async with database.connection() as connection:
        erased, recorded = await connection.fetch("SELECT * FROM audit WHERE id IN (2, 4) ORDER BY id")
    assert erased["body"] is None
    assert recorded["resource"] == "auditRecords/2"


# Holds a sealer between two statements: it says so and waits to be killed.
HELD = """
import asyncio, sys
from ordinaut.settings import StoreSettings
from ordinaut.store import audit_seal
from ordinaut.store.database import Database
from scheduler.maintenance.audit_seal import AuditSeal

class Held:
    def __init__(self, query): self.query = query
    def __getattr__(self, name):
        async def call(connection, **arguments):
            result = await getattr(self.query, name)(connection, **arguments)
            print("held", flush=True)
            await asyncio.Event().wait()
        return call

async def main():
    database = await Database.open(StoreSettings(database_url=sys.argv[1]))
    audit_seal.SQL.queries[sys.argv[2]] = Held(audit_seal.SQL.queries[sys.argv[2]])
    await AuditSeal(database).run_once()

asyncio.run(main())
"""


@pytest.mark.parametrize("statement", ["projects", "try_lock", "head", "todo", "seal", "done"])
async def test_a_sealer_that_is_killed_has_sealed_nothing(
    database: Database, database_url: str, statement: str
) -> None:
    """After each statement; another scheduler continues."""
    await sealed(database, 2)
    await write(database, 3)
    arguments: list[Any] = command([sys.executable, "-c", HELD, database_url, statement], signal.SIGKILL)
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"held\n"
        held = await verified(database)
        assert (held.head.seq, held.unsealed, held.problem) == (2, 3, None)
    finally:
        process.kill()
        await process.wait()
    async with asyncio.timeout(PATIENCE):
        while (await verified(database)).unsealed:
            await AuditSeal(database).run_once()
    result = await verified(database)
    assert (result.head.seq, result.problem) == (5, None)


async def test_a_role_of_the_services_can_only_add(database: Database) -> None:
    """With the grants of the documentation: it writes, seals, verifies and drops what is old, and nothing else."""
    page = (Path(__file__).parents[3] / "docs/how-to/audit.md").read_text()
    grants = page.partition("```sql\nGRANT")[2].partition("```")[0]
    async with database.connection() as connection:
        role = f"services_{uuid4().hex}"
        await connection.execute(f"CREATE ROLE {role}; GRANT{grants}".replace("ordinaut_services", role))
        await connection.execute(f"GRANT SELECT ON project TO {role}; SET ROLE {role}")
        try:
            await audit.write(connection, PROJECT, [audit.to_text({"number": 1})])
            async with connection.transaction():
                end = await audit_seal.head(connection, PROJECT)
                await audit_seal.seal(connection, PROJECT, end, await audit_seal.todo(connection, PROJECT, 10))
                await audit_seal.drop(connection, PROJECT, timedelta(days=400), 10)
            assert (await verify(connection, PROJECT)).head.seq == 1
            for statement in (
                "UPDATE audit SET body = NULL", "DELETE FROM audit", "TRUNCATE audit", "DELETE FROM audit_seal",
                "UPDATE audit_seal SET seq = 2", "DELETE FROM audit_checkpoint",
                "ALTER TABLE audit DISABLE TRIGGER ALL",
                "SELECT erase_audit('default', '{1}', '')", "SET session_replication_role = replica",
            ):  # fmt: skip
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
