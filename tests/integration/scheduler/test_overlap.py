"""Overlap policies: random arrivals, ends, waits and cancels, compared step by step with a model without a database."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from ordinaut.store.hints import Hints
from ordinaut.store.queue import due_work_enqueue, due_work_finish, due_work_recover
from ordinaut.store.queue.due_work_claim import LeasedRow
from ordinaut.store.runs import retry
from scheduler.maintenance.promote import Promote
from tests.integration.support.overlap_model import TaskModel
from tests.integration.support.queue_rig import BEGINNING, Rig
from tests.integration.support.scheduler_rig import LoopRunner, ledger, release_blocked, settle
from tests.sample import FULL

PERIOD_SECONDS = 10
POLICIES = [None, "SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "ALLOW"]
STEPS = 60
BUFFER = 3
NEW = (
    "SELECT key, trigger, outcome, run FROM occurrence WHERE task = $1 AND key <> ALL($2::text[]) ORDER BY instant, key"
)
LIVE = "SELECT id, state, exclusive, cancel_requested FROM due_work WHERE task = $1 ORDER BY ready_time, id"


class Both:
    """One task in a database and in the model; whatever happens to it happens to both, and then they are compared."""

    def __init__(self, rig: Rig, task: UUID, model: TaskModel, chance: random.Random) -> None:
        self._rig, self._task, self._model, self._chance = rig, task, model, chance
        self._clockwork = LoopRunner(rig.database, rig.settings)
        self._known: list[str] = []
        self._fences: dict[UUID, int] = {}
        self._ended: list[UUID] = []
        self._holder = UUID(int=0)

    async def begin(self) -> None:
        self._holder = await self._rig.lease(seconds=10**7)
        await settle(self._rig, self._clockwork)

    async def step(self) -> None:
        """One random thing."""
        doings = [
            self.time_passes, self.time_passes, self.somebody_asks, self.events_come, self.an_outage_ends,
            self.somebody_retries, self.a_worker_claims, self.a_worker_claims, self.a_run_ends, self.a_run_ends,
            self.a_run_waits, self.a_run_goes_on, self.somebody_cancels, self.stopped_runs_end, self.turns_are_given,
            self.turns_are_given,
        ]  # fmt: skip
        await self._chance.choice(doings)()
        await self._compare()

    async def time_passes(self) -> None:
        await self._go_on(periods=1)
        await self._arrived(by_time=True)

    async def an_outage_ends(self) -> None:
        await self._go_on(periods=6, late_seconds=6)
        await self._arrived(by_time=True, caught_up=True)

    async def somebody_asks(self) -> None:
        run = await self._rig.value("SELECT new_id()")
        async with self._rig.database.transaction() as connection:
            await due_work_enqueue.enqueue_manual(
                connection, task=self._task, run=run, params_json="{}", priority=None, start_time=None
            )
        await self._arrived(by_time=False)

    async def events_come(self) -> None:
        uids = [f"{len(self._known):04}-{place}" for place in range(self._chance.randint(1, 4))]
        async with self._rig.database.transaction() as connection:
            await due_work_enqueue.enqueue_for_events(
                connection, [(self._task, "e", uid, "{}", None, 1) for uid in uids]
            )
        await self._arrived(by_time=False)

    async def somebody_retries(self) -> None:
        if self._ended:
            ended = self._ended.pop()
            run = await self._rig.value("SELECT new_id()")
            async with self._rig.database.transaction() as connection:
                await retry.enqueue(connection, retry_of=ended, run=run)
            await self._arrived(by_time=False)

    async def a_worker_claims(self) -> None:
        claimed = await self._rig.claim(self._holder)
        self._fences |= {row.id: row.fence for row in claimed}
        self._model.is_claimed(*(row.id for row in claimed))

    async def a_run_ends(self) -> None:
        if run := self._one(self._model.leased):
            await self._rig.complete(self._holder, LeasedRow(run, self._fences[run], False), state="FAILED")
            self._ended.append(run)
            self._model.ends(run)

    async def a_run_waits(self) -> None:
        if run := self._one(self._model.leased - self._model.stopping):
            async with self._rig.database.transaction() as connection:
                assert await due_work_finish.suspend(connection, self._holder, [run], [self._fences[run]])
            self._model.waits(run)

    async def a_run_goes_on(self) -> None:
        async with self._rig.database.transaction() as connection:
            await due_work_recover.wake(connection, list(self._model.live() - self._model.leased))

    async def somebody_cancels(self) -> None:
        if run := self._one(self._model.live() | {waiting.run for waiting in self._model.line}):
            async with self._rig.database.transaction() as connection:
                await due_work_finish.request_cancel(connection, run=run, reason="for the test")
            self._model.is_cancelled(run)

    async def stopped_runs_end(self) -> None:
        stopping = list(self._model.stopping)
        fences = [self._fences[run] for run in stopping]
        async with self._rig.database.transaction() as connection:
            ended = await due_work_finish.end_cancelled_owned(connection, self._holder, stopping, fences)
        assert ended == set(stopping)
        for run in ended:
            self._model.ends(run)

    async def turns_are_given(self) -> None:
        await release_blocked(self._rig)
        self._model.turns()

    async def _go_on(self, periods: int, late_seconds: int = 0) -> None:
        """The scheduler is back when the last of so many instants is late by that."""
        passed = (self._rig.now - BEGINNING).total_seconds()
        until = (passed // PERIOD_SECONDS + periods) * PERIOD_SECONDS + late_seconds
        await self._rig.turn_clock(seconds=until - passed)
        await settle(self._rig, self._clockwork)

    async def _arrived(self, **how: bool) -> None:
        """Each new occurrence has the outcome of the model."""
        for row in await self._rig.rows(NEW, self._task, self._known):
            self._known.append(row["key"])
            if row["outcome"] not in {"MISSED", "COALESCED"}:
                run = row["run"] or UUID(int=len(self._known))
                assert row["outcome"] == self._model.arrives(run, **how), self._model

    async def _compare(self) -> None:
        rows, model = await self._rig.rows(LIVE, self._task), self._model
        blocked = [row for row in rows if row["state"] == "BLOCKED"]
        assert [row["id"] for row in blocked] == [waiting.run for waiting in model.line]
        assert not any(row["exclusive"] for row in blocked)
        assert [row["id"] for row in rows if row["exclusive"]] == [run for run in [model.exclusive] if run]
        assert {row["id"] for row in rows if row["state"] == "LEASED"} == model.leased
        assert {row["id"] for row in rows} - {row["id"] for row in blocked} == model.live()
        assert {row["id"] for row in rows if row["cancel_requested"]} == model.stopping

    def _one(self, runs: set[UUID]) -> UUID | None:
        return self._chance.choice(sorted(runs)) if runs else None


@pytest.mark.parametrize("policy", POLICIES)
async def test_the_queue_does_what_the_model_says(policy: str | None, rig: Rig) -> None:
    for seed in range(2 if FULL else 1):
        chance = random.Random(f"{policy} {seed}")
        print(f"policy {policy} seed {seed}")
        said: dict[str, Any] = {"max_buffer": BUFFER, "ignore_waiting": chance.random() < 0.5}
        task = await rig.task(
            {"interval": f"{PERIOD_SECONDS}s"}, overlap=policy, policy=said, catch_up={"policy": "ALL", "max": 4}
        )
        both = Both(rig, task, TaskModel(policy, **said), chance)
        await both.begin()
        for _ in range(STEPS):
            await both.step()
        async with rig.database.transaction() as connection:
            await due_work_finish.cancel_task(connection, task=task, reason="the test is over")
            await connection.execute("UPDATE schedule_cursor SET next_fire_time = 'infinity'")


async def test_a_buffered_run_past_its_deadline_is_missed_and_the_next_one_starts(rig: Rig) -> None:
    """The start deadline counts for who waits; a row whose deadline has passed is in nobody's way."""
    policy = {"max_buffer": BUFFER, "start_deadline": timedelta(seconds=15)}
    task = await rig.task({"interval": f"{PERIOD_SECONDS}s"}, overlap="BUFFER_ALL", policy=policy)
    runner, promote = LoopRunner(rig.database, rig.settings), Promote(rig.database, Hints(rig.database))
    holder, live = await rig.lease(seconds=1000), list[Any]()
    await settle(rig, runner)
    for _ in range(3):
        await rig.turn_clock(seconds=PERIOD_SECONDS)
        await settle(rig, runner)
        await promote.run_once()
        live = await rig.claim(holder) or live
    await rig.turn_clock(seconds=PERIOD_SECONDS / 2)
    await promote.run_once()
    assert [outcome for _, outcome, _ in await ledger(rig, task)] == ["ENQUEUED", "MISSED", "BUFFERED"]
    assert await rig.value("SELECT error ->> 'code' FROM run") == "START_DEADLINE"
    await rig.complete(holder, *live)
    await release_blocked(rig)
    [row] = await rig.claim(holder)
    assert row.scheduled_time == BEGINNING + timedelta(seconds=3 * PERIOD_SECONDS)


async def test_a_superseding_run_also_cancels_caught_up_runs(rig: Rig) -> None:
    """Missed moments that ALL runs do not cancel each other; the next one in time cancels them all."""
    task = await rig.task(
        {"interval": f"{PERIOD_SECONDS}s"}, overlap="CANCEL_OTHER", catch_up={"policy": "ALL", "max": 3}
    )
    runner = LoopRunner(rig.database, rig.settings)
    await settle(rig, runner)
    await rig.turn_clock(seconds=6 * PERIOD_SECONDS + 6)
    await settle(rig, runner)
    await release_blocked(rig)
    assert await rig.value("SELECT count(*) FROM due_work") == 3
    await rig.turn_clock(seconds=PERIOD_SECONDS - 6)
    await settle(rig, runner)
    await release_blocked(rig)
    [left] = await rig.rows("SELECT id, state, exclusive, scheduled_time FROM due_work WHERE task = $1", task)
    assert (left["state"], left["exclusive"], left["scheduled_time"]) == ("READY", True, rig.now)
    reasons = await rig.rows("SELECT DISTINCT state, cancel_reason FROM run")
    assert [tuple(row) for row in reasons] == [("CANCELLED", f"runs/{left['id']} takes its place")]
