"""The journal has one write of a run in flight, with all its reports, and writes its result last."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from tests.patience import PATIENCE
from worker.held_runs import HeldRun, HeldRuns
from worker.journal import Journal
from worker.run_result import RunResult, StepReport


class Surroundings:
    """Database, lease, hints, stream and completion of a journal; they record the calls."""

    def __init__(self, run: UUID) -> None:
        self.id = uuid4()
        self.run = run
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.rejected: set[int] = set()

    def is_live(self) -> bool:
        return True

    async def repeat(self, write: Any) -> dict[UUID, list[None]]:
        self.began.set()
        await self.gate.wait()
        [(_, reports)] = inspect.getclosurevars(write).nonlocals["batch"]
        if self.rejected & {entry.attempt for report in reports for entry in report.entries}:
            raise asyncpg.DataError("a value that cannot be stored")
        self.calls.append(f"written {len(reports)}")
        return {self.run: [None] * len(reports)}

    def cancel(self, _handles: Any) -> None:
        self.calls.append("stopped")

    def send(self, *_hints: str) -> None:
        return None

    def committed(self, _handle: int, _result: Any) -> None:
        self.calls.append("committed")

    def add(self, _run: HeldRun, _result: RunResult) -> None:
        self.calls.append("ended")


def held_run(surroundings: Any, runs: HeldRuns) -> HeldRun:
    run = HeldRun(1, surroundings.run, 1, "p", "agents/a", frozenset(), 0, "root", surroundings)
    runs.add(run)
    return run


async def until_idle(journal: Journal) -> None:
    async with asyncio.timeout(PATIENCE):
        await journal.commits.idle()


@asynccontextmanager
async def journal_of(surroundings: Any) -> AsyncIterator[tuple[Journal, HeldRun]]:
    runs = HeldRuns()
    run = held_run(surroundings, runs)
    journal = Journal(surroundings, surroundings, runs, surroundings, surroundings)
    serving = asyncio.create_task(journal.commits.serve())
    try:
        yield journal, run
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def report(number: int) -> StepReport:
    return StepReport([JournalEntry(path=f"s{number}", attempt=number)])


async def test_reports_that_arrive_during_a_write_are_the_next_one() -> None:
    """The effects of concurrent steps take one commit instead of one each."""
    surroundings: Any = Surroundings(uuid4())
    async with journal_of(surroundings) as (journal, run):
        journal.add(run, report(1))
        await surroundings.began.wait()
        for number in range(2, 5):
            journal.add(run, report(number))
        surroundings.gate.set()
        await until_idle(journal)
        assert surroundings.calls == ["written 1", "committed", "written 3", "committed", "committed", "committed"]
        assert not run.writing
        assert not run.reports


async def test_the_result_of_a_run_is_written_after_its_reports() -> None:
    """Reports are not acknowledged once the result is known."""
    surroundings: Any = Surroundings(uuid4())
    async with journal_of(surroundings) as (journal, run):
        journal.add(run, report(1))
        await surroundings.began.wait()
        journal.add(run, report(2))
        run.result = RunResult("SUCCEEDED")
        surroundings.gate.set()
        await until_idle(journal)
        assert surroundings.calls == ["written 1", "written 1", "ended"]


async def test_a_rejected_report_fails_the_run_after_the_reports_before_it() -> None:
    surroundings: Any = Surroundings(uuid4())
    surroundings.rejected = {3}
    async with journal_of(surroundings) as (journal, run):
        for number in range(1, 5):
            journal.add(run, report(number))
        surroundings.gate.set()
        await until_idle(journal)
        assert surroundings.calls == ["written 1", "committed", "written 1", "committed", "stopped", "ended"]
        assert not run.reports
