"""A database with a clock that the test controls, with tasks, queue rows and leases."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from ordinaut.settings import StoreSettings
from ordinaut.store.database import Database
from ordinaut.store.queue import due_work_claim, due_work_finish, lease
from ordinaut.store.queue.due_work_claim import ClaimedRun, LeasedRow
from ordinaut.store.tasks import cursor, task
from ordinaut.store.tasks.cursor import NewEventTrigger
from ordinaut.store.tasks.task import Definition, Description

PROJECT = "default"
BEGINNING = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
# The database's clock does not advance unless the test moves it.
SKEWABLE_CLOCK = """
CREATE TABLE test_clock (moment timestamptz NOT NULL);
INSERT INTO test_clock VALUES ('2026-03-02T12:00:00Z');
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN (SELECT moment FROM test_clock);
END $$;
"""
INHABITANTS = """
INSERT INTO project (name) VALUES ('default'), ('other');
INSERT INTO agent (project, name, scopes, create_time) VALUES ('default', 'alice', '{admin}', clock_timestamp());
"""
QUEUE = """
INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state,
  due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time)
SELECT run, 'default', $1::uuid, 'queued', 1, 'agents/alice', 'MANUAL', '', 'run:' || run, $1::uuid || '/run:' || run,
  '{"n": 1}', $4::text, clock_now() + $5::interval, clock_now() + $5::interval + place * interval '1 microsecond',
  $3::int, false, 3, interval '1 day', 0, clock_now()
FROM (SELECT new_id() AS run, place FROM generate_series(1, $2::int) AS place) AS new
RETURNING id
"""
# Raises a server error for the first three rows; the counter is not rolled back.
FAULT = """
CREATE SEQUENCE fault_count;
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('fault_count') <= 3 THEN
    RAISE EXCEPTION 'injected' USING ERRCODE = TG_ARGV[0];
  END IF;
  RETURN NEW;
END $$;
"""


class Rig:
    """One test's database."""

    def __init__(self, database: Database, settings: StoreSettings) -> None:
        self.database = database
        self.settings = settings
        self.now = BEGINNING

    async def prepare(self) -> None:
        """Puts the clock under the test's control; two projects and an agent."""
        await self.take_clock()
        await self.execute(INHABITANTS)

    async def take_clock(self) -> None:
        """Puts the clock under the test's control."""
        await self.execute(SKEWABLE_CLOCK)

    async def turn_clock(self, **by: float) -> None:
        """Moves the database's clock, as `timedelta(**by)`."""
        self.now += timedelta(**by)
        await self.execute("UPDATE test_clock SET moment = $1", self.now)

    async def execute(self, statement: str, *arguments: Any) -> None:
        """Executes a statement of the test."""
        async with self.database.connection() as connection:
            await connection.execute(statement, *arguments)

    async def rows(self, statement: str, *arguments: Any) -> list[Any]:
        """The rows of a query of the test."""
        async with self.database.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def value(self, statement: str, *arguments: Any) -> Any:
        """The first value of a query of the test."""
        async with self.database.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    async def break_inserts(self, table: str, code: str) -> None:
        """The next three inserts into a table fail with that SQLSTATE."""
        await self.execute(FAULT)
        await self.execute(
            f"CREATE TRIGGER fault BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fault('{code}')"
        )

    async def task(
        self,
        *triggers: dict[str, Any],
        name: str | None = None,
        overlap: str | None = "ALLOW",
        event_triggers: Sequence[NewEventTrigger] = (),
        policy: dict[str, Any] | None = None,
        **schedule: Any,
    ) -> UUID:
        """A task with time triggers, each `{"cron": "…"}` or the like; ids, a zone and the start time are added.

        `policy` are columns of the definition, such as `{"start_deadline": timedelta(...)}`.
        """
        stored = {
            "triggers": [{"id": f"t{place}", **trigger} for place, trigger in enumerate(triggers)],
            "time_zone": "Europe/Chisinau",
            "start_time": BEGINNING.isoformat(),
            **schedule,
        }
        definition = Definition(
            pipeline='{"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}',
            tools=["orchestrator.set"],
            scopes=["admin"],
            schedule=json.dumps(stored),
            run_policy="{}",
            params="{}",
            params_schema=None,
            overlap=overlap,
            priority=5,
            max_losses=3,
            run_timeout=timedelta(days=1),
            **(policy or {}),
        )
        async with self.database.transaction() as connection:
            record = await task.create(
                connection,
                project=PROJECT,
                name=name,
                owner="agents/alice",
                description=Description("", "", "{}"),
                definition=definition,
            )
            assert record is not None
            await cursor.create(
                connection,
                project=PROJECT,
                task=record.uid,
                last_instant=self.now,
                event_triggers=event_triggers,
                ends=not triggers,
            )
        return record.uid

    async def schedule(self, task: UUID) -> dict[str, Any]:
        """The stored schedule of a task's current version."""
        text = await self.value(
            "SELECT v.schedule::text FROM task AS t JOIN task_version AS v ON v.task = t.uid AND v.version = t.version "
            "WHERE t.uid = $1", task,
        )  # fmt: skip
        return dict(json.loads(text))

    async def queue(
        self, count: int, *, of: UUID | None = None, priority: int = 5, state: str = "READY", ready_in: float = 0
    ) -> list[UUID]:
        """Rows in the queue, ready one microsecond after another."""
        rows = await self.rows(QUEUE, of or uuid4(), count, priority, state, timedelta(seconds=ready_in))
        return [row["id"] for row in rows]

    async def lease(self, seconds: float = 30) -> UUID:
        """A lease of a worker."""
        holder = uuid4()
        async with self.database.connection() as connection:
            await lease.take(connection, lease=holder, host="host", address="127.0.0.1:1", seconds=seconds)
        return holder

    async def claim(self, holder: UUID, batch: int = 100) -> list[ClaimedRun]:
        """The runs that a worker with that lease claims."""
        async with self.database.connection() as connection:
            return await due_work_claim.claim(connection, holder, {}, batch)

    async def complete(self, holder: UUID, *claimed: ClaimedRun | LeasedRow, state: str = "SUCCEEDED") -> set[UUID]:
        """Ends claimed rows with an output; returns the runs that were ended."""
        ended = due_work_finish.EndColumns()
        for run in claimed:
            ended.ids.append(run.id)
            ended.fences.append(run.fence)
            ended.states.append(state)
            ended.outputs.append('{"done": true}')
            ended.errors.append(None)
        async with self.database.transaction() as connection:
            return await due_work_finish.complete(connection, holder, ended)

    async def row(self, run: UUID) -> Any:
        """A run's row in the queue; None if it has left."""
        rows = await self.rows("SELECT * FROM due_work WHERE id = $1", run)
        return rows[0] if rows else None
