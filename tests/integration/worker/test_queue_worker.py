"""A worker with fake engines: what it claims, holds, releases and writes when something fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import structlog.testing

from ordinaut.internal.v1.pipeline_engine_service_pb2 import EngineFrame, JournalEntry, RunFinished
from ordinaut.store.database import Database
from ordinaut.store.queue import due_work_claim, due_work_finish
from tests.integration.support.queue_rig import Rig
from tests.patience import PATIENCE
from worker.engine.definitions import Definitions
from worker.engine.stream import EngineStream
from worker.settings import WorkerSettings
from worker.worker import Worker


class Engines(EngineStream):
    """A stream without an engine: it has credit, and the test finishes the runs."""

    async def serve(self) -> None:
        """Gives credit once."""
        self.started: list[Any] = []
        self.credit = 100
        self._on_frame(self, EngineFrame(credit=100))
        await asyncio.Event().wait()

    def start_run(self, definition: Any, start: Any) -> None:
        """Records the run."""
        self.credit -= 1
        self.started.append(start)

    def finish(self, *ended: tuple[int, bytes]) -> None:
        """Reports runs, by handle, that have succeeded with an output."""
        runs = [RunFinished(handle=handle, state="SUCCEEDED", output=output) for handle, output in ended]
        self._on_frame(self, EngineFrame(runs=runs))


@asynccontextmanager
async def working(rig: Rig, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Worker]:
    """A started worker."""
    monkeypatch.setattr("worker.worker.EngineStream", Engines)
    environment = {"lease_seconds": 30, "grace_seconds": 0.3, "poll_seconds": 0.02, **settings}
    worker = Worker(rig.database, WorkerSettings(database_url=rig.settings.database_url, **environment))
    await worker.start("127.0.0.1:1")
    try:
        yield worker
    finally:
        await worker.stop()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Polls until the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():
            await asyncio.sleep(0.01)


def started(worker: Worker) -> dict[UUID, int]:
    """The runs sent to an engine, with their handles."""
    [stream] = worker._streams
    assert isinstance(stream, Engines)
    return {run.id: run.handle for run in worker._runs.all() if run.stream is stream}


async def _finish(worker: Worker, outputs: dict[UUID, bytes]) -> None:
    handles = started(worker)
    [stream] = worker._streams
    assert isinstance(stream, Engines)
    stream.finish(*((handles[run], output) for run, output in outputs.items()))


def _ended(rig: Rig, count: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(await rig.value("SELECT count(*) = $1 FROM run", count))

    return holds


def _claimed(worker: Worker, count: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return len(worker._runs) == count

    return holds


@pytest.fixture
async def runs(rig: Rig) -> list[UUID]:
    """Five runs of a task, ready."""
    return await rig.queue(5, of=await rig.task())


async def test_of_a_batch_only_the_run_whose_data_cannot_be_stored_fails(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        outputs = dict.fromkeys(runs, b'{"fine": true}') | {runs[2]: b'{"nul": "\\u0000"}'}
        await _finish(worker, outputs)
        await until(_ended(rig, 5))
    states = dict(await rig.rows("SELECT id, state FROM run"))
    assert states == dict.fromkeys(runs, "SUCCEEDED") | {runs[2]: "FAILED"}
    assert "VALIDATION_OUTPUT" in await rig.value("SELECT error::text FROM run WHERE id = $1", runs[2])


async def test_a_failed_run_leaves_a_log_line(rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    """With its code and its step; the message may contain data."""
    with structlog.testing.capture_logs() as logs:
        async with working(rig, monkeypatch) as worker:
            await until(_claimed(worker, 5))
            [stream] = worker._streams
            failed = RunFinished(
                handle=started(worker)[runs[0]],
                state="FAILED",
                error=b'{"code": "TOOL_ERROR", "step": "pay", "message": "card 4711"}',
            )
            worker._on_frame(stream, EngineFrame(runs=[failed]))
            await _finish(worker, dict.fromkeys(runs[1:], b"1"))
            await until(_ended(rig, 5))
    [line] = [entry for entry in logs if entry["event"] == "run_failed"]
    assert (line["run"], line["code"], line["step"]) == (f"runs/{runs[0]}", "TOOL_ERROR", "pay")
    assert (line["project"], line["owner"]) == ("default", "agents/alice")
    assert "4711" not in str(line)


@pytest.mark.parametrize(("drained", "losses"), [(True, {None}), (False, {64})])
async def test_only_a_broken_stream_counts_a_loss(
    drained: bool, losses: set[int | None], rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that stops ends its streams; one that crashes breaks them."""
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        worker._claimer.draining = worker._quarantine.draining = True
        [stream] = worker._streams
        stream.drained = drained
        await worker._on_lost(stream)
        rows = await rig.rows("SELECT state, isolation_size FROM due_work")
    assert {row["state"] for row in rows} == {"READY"}
    assert {row["isolation_size"] for row in rows} == losses


@pytest.mark.parametrize("committed", [True, False])
async def test_a_completion_with_unknown_outcome_is_released_or_recorded_once(
    committed: bool, rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(self: Database, work: Any, **named: Any) -> Any:
        monkeypatch.setattr(Database, "repeat", real)
        if committed:
            await real(self, work, **named)
        raise asyncpg.ConnectionDoesNotExistError("cut off")

    real = Database.repeat
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.05)
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        monkeypatch.setattr(Database, "repeat", cut)
        await _finish(worker, dict.fromkeys(runs, b"1"))
        if not committed:  # the worker releases its unheld rows and claims them again
            await until(lambda: rig.value("SELECT bool_and(fence = 2) FROM due_work"))
            await until(_claimed(worker, 5))
            await _finish(worker, dict.fromkeys(runs, b"2"))
        await until(_ended(rig, 5))
    assert await rig.rows("SELECT DISTINCT state, output::text, losses FROM run") == [
        ("SUCCEEDED", "1" if committed else "2", 0)
    ]


async def test_draining_leaves_no_row_under_the_lease_also_during_a_claim(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading, answer = asyncio.Event(), asyncio.Event()
    real = Definitions.get

    async def slow(self: Definitions, connection: Any, row: Any) -> Any:
        loading.set()
        await answer.wait()
        return await real(self, connection, row)

    monkeypatch.setattr(Definitions, "get", slow)
    async with working(rig, monkeypatch) as worker, asyncio.timeout(PATIENCE):
        await loading.wait()
        draining = asyncio.create_task(worker.drain())
        answer.set()
        assert await draining == (0, 5)
    assert dict(await rig.rows("SELECT state, count(*) FROM due_work GROUP BY state")) == {"READY": 5}
    assert await rig.value("SELECT count(*) FROM lease") == 0
    assert await rig.value("SELECT count(*) FROM due_work WHERE isolation_size IS NOT NULL") == 0


async def test_quarantined_runs_being_claimed_are_not_released_as_unheld(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.execute("UPDATE due_work SET isolation_size = 64")
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.0)
    reconciled = asyncio.Event()
    reads = 0
    real_get, real_held = Definitions.get, due_work_claim.leased_rows

    async def slow(self: Definitions, connection: Any, row: Any) -> Any:
        try:  # enough time for a reconciliation, if the lock did not prevent it
            async with asyncio.timeout(0.2):
                await reconciled.wait()
        except TimeoutError:
            pass
        return await real_get(self, connection, row)

    async def counting(connection: Any, lease: UUID) -> Any:
        nonlocal reads
        rows = await real_held(connection, lease)
        reads += 1
        if rows:
            reconciled.set()
        return rows

    monkeypatch.setattr(Definitions, "get", slow)
    monkeypatch.setattr("worker.claim.due_work_claim.leased_rows", counting)
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        await asyncio.wait_for(reconciled.wait(), PATIENCE)
        assert set(await rig.rows("SELECT state, fence FROM due_work")) == {("LEASED", 1)}
    assert reads


async def test_a_worker_with_an_expired_lease_drops_its_runs_and_takes_a_new_lease(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(rig, monkeypatch, lease_seconds=1) as worker:
        await until(_claimed(worker, 5))
        first = worker._lease.id
        await rig.turn_clock(seconds=2)  # the database's clock: the lease has expired

        async def another() -> bool:
            return worker._lease.id != first and worker._lease.is_live()

        await until(another)
        assert started(worker) == {}
    assert await rig.value("SELECT count(*) FROM run") == 0


async def test_a_cancelled_run_ends_while_the_others_continue(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.05)
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        async with rig.database.connection() as connection:
            assert await due_work_finish.request_cancel(connection, run=runs[0], reason="no") == "REQUESTED"
        await until(_ended(rig, 1))
        await _finish(worker, dict.fromkeys(runs[1:], b"1"))
        await until(_ended(rig, 5))
    states = dict(await rig.rows("SELECT id, state FROM run"))
    assert states == dict.fromkeys(runs, "SUCCEEDED") | {runs[0]: "CANCELLED"}


async def _finish_all(rig: Rig, worker: Worker, count: int) -> None:
    async def done() -> bool:
        await _finish(worker, dict.fromkeys(started(worker), b"1"))
        return bool(await rig.value("SELECT count(*) = $1 FROM run", count))

    await until(done)


@pytest.mark.parametrize("code", ["53100", "57014", "40001", "40P01", "55P03", "25006"])
async def test_completions_that_fail_for_a_while_are_recorded_once_afterwards(
    code: str, rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.05)
    await rig.break_inserts("run", code)
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        await _finish_all(rig, worker, 5)
        assert not any(task.done() for task in worker._tasks)
    states = dict(await rig.rows("SELECT id, state FROM run"))
    assert states == dict.fromkeys(runs, "SUCCEEDED")
    assert await rig.value("SELECT sum(count) FROM outbox") == 5


async def test_work_continues_after_the_queue_was_locked_and_connections_were_terminated(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.05)
    async with working(rig, monkeypatch, lease_seconds=2) as worker:
        await until(_claimed(worker, 5))
        own = await asyncpg.connect(rig.settings.database_url)
        transaction = own.transaction()
        await transaction.start()
        await own.execute("LOCK TABLE due_work")
        await _finish(worker, dict.fromkeys(runs, b"1"))
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        for harm in ("pg_cancel_backend", "pg_terminate_backend"):
            async with asyncio.timeout(PATIENCE):
                while not (stuck := await own.fetch(waiting)):
                    await asyncio.sleep(0.01)
            for row in stuck:
                await own.execute(f"SELECT {harm}($1)", row["pid"])
        await transaction.rollback()
        await own.close()
        await _finish_all(rig, worker, 5)
        assert not any(task.done() for task in worker._tasks)
    assert dict(await rig.rows("SELECT id, state FROM run")) == dict.fromkeys(runs, "SUCCEEDED")


async def test_a_cancelled_run_ends_although_its_engine_does_not_report_it(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.claim.REPORT_SECONDS", 0.1)
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        async with rig.database.transaction() as connection:
            assert await due_work_finish.request_cancel(connection, run=runs[0], reason="enough") == "REQUESTED"
        await until(_ended(rig, 1))
        assert await rig.value("SELECT state FROM run WHERE id = $1", runs[0]) == "CANCELLED"
        await until(_claimed(worker, 4))


async def test_an_engine_has_the_time_of_finally_before_it_must_report(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.claim.REPORT_SECONDS", 0.1)
    monkeypatch.setattr("worker.claim.RECONCILE_SECONDS", 0.05)
    monkeypatch.setattr("worker.engine.dispatch.FINALLY_SECONDS", 1.5)
    await rig.execute("""UPDATE task_version SET pipeline = pipeline || '{"finally": []}'""")
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        began = time.monotonic()
        async with rig.database.transaction() as connection:
            assert await due_work_finish.request_cancel(connection, run=runs[0], reason="enough") == "REQUESTED"
        await until(_ended(rig, 1))
        assert time.monotonic() - began >= 1.5
        assert await rig.value("SELECT state FROM run WHERE id = $1", runs[0]) == "CANCELLED"


async def test_what_an_engine_reports_of_a_cancelled_run_is_recorded(
    rig: Rig, runs: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working(rig, monkeypatch) as worker:
        await until(_claimed(worker, 5))
        async with rig.database.transaction() as connection:
            await due_work_finish.request_cancel(connection, run=runs[0], reason="enough")
        entries = [JournalEntry(path="a", attempt=number, state=state, tool="t.x") for number, state in
                   ((1, "FAILED"), (2, "CANCELLED"))]  # fmt: skip
        [stream] = worker._streams
        handle = started(worker)[runs[0]]
        stream._on_frame(stream, EngineFrame(runs=[RunFinished(handle=handle, state="CANCELLED", entries=entries)]))
        await until(_ended(rig, 1))
    rows = await rig.rows("SELECT attempt, state FROM step_run WHERE run = $1 ORDER BY seq", runs[0])
    assert [tuple(row) for row in rows] == [(1, "FAILED"), (2, "CANCELLED")]
    assert await rig.value("SELECT cancel_reason FROM run WHERE id = $1", runs[0]) == "enough"
