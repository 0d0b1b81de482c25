"""The journal writes one report of a run at a time, and its result last."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

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

    def is_live(self) -> bool:
        return True

    async def repeat(self, _write: Any) -> dict[UUID, None]:
        await self.gate.wait()
        self.calls.append("written")
        return {self.run: None}

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


async def test_reports_wait_for_the_write_of_their_run() -> None:
    """Three reports of one run are three writes, in order, each acknowledged."""
    surroundings: Any = Surroundings(uuid4())
    runs = HeldRuns()
    run = held_run(surroundings, runs)
    journal = Journal(surroundings, surroundings, runs, surroundings, surroundings)
    serving = asyncio.create_task(journal.commits.serve())
    for number in range(3):
        journal.add(run, StepReport([JournalEntry(path=f"s{number}", attempt=1)]))
    assert len(run.reports) == 2
    surroundings.gate.set()
    await until_idle(journal)
    assert surroundings.calls == ["written", "committed"] * 3
    assert not run.writing
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_the_result_of_a_run_is_written_after_its_reports() -> None:
    """Reports are not acknowledged once the result is known."""
    surroundings: Any = Surroundings(uuid4())
    runs = HeldRuns()
    run = held_run(surroundings, runs)
    journal = Journal(surroundings, surroundings, runs, surroundings, surroundings)
    serving = asyncio.create_task(journal.commits.serve())
    for number in range(2):
        journal.add(run, StepReport([JournalEntry(path=f"s{number}", attempt=1)]))
    run.result = RunResult("SUCCEEDED")
    surroundings.gate.set()
    await until_idle(journal)
    assert surroundings.calls == ["written", "written", "ended"]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
