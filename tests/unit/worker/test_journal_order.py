"""One write of a run at a time: what it does meanwhile goes with the next, and its end goes last."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from tests.patience import PATIENCE
from worker.completion import LastWord
from worker.held_runs import HeldRun, HeldRuns
from worker.journal import Entries, Journal


class Surroundings:
    """Database, lease, hints, stream and completion of a journal: they write nothing and record what they are told."""

    def __init__(self, run: UUID) -> None:
        self.id = uuid4()
        self.run = run
        self.writes = 0
        self.told: list[str] = []
        self.gate = asyncio.Event()

    def good(self) -> bool:
        return True

    async def repeat(self, _write: Any) -> dict[UUID, None]:
        await self.gate.wait()
        self.writes += 1
        self.told.append("written")
        return {self.run: None}

    def send(self, *_hints: str) -> None:
        return None

    def committed(self, _handle: int, _result: Any) -> None:
        self.told.append("committed")

    def add(self, _word: LastWord) -> None:
        self.told.append("ended")


def held(around: Any, runs: HeldRuns) -> HeldRun:
    run = HeldRun(1, around.run, 1, "p", "agents/a", frozenset(), 0, "root", around)
    runs.add(run)
    return run


async def until_idle(journal: Journal) -> None:
    async with asyncio.timeout(PATIENCE):
        await journal.commits.idle()


async def test_entries_wait_for_the_write_of_their_run() -> None:
    """Three of one run are three writes, in their order, each acknowledged."""
    around: Any = Surroundings(uuid4())
    runs = HeldRuns()
    run = held(around, runs)
    journal = Journal(around, around, runs, around, around)
    serving = asyncio.create_task(journal.commits.serve())
    for number in range(3):
        journal.add(Entries(run, [JournalEntry(path=f"s{number}", attempt=1)]))
    assert len(run.queued) == 2
    around.gate.set()
    await until_idle(journal)
    assert around.told == ["written", "committed"] * 3
    assert not run.writing
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_the_end_of_a_run_goes_behind_everything() -> None:
    """And nothing is acknowledged any more once it is known."""
    around: Any = Surroundings(uuid4())
    runs = HeldRuns()
    run = held(around, runs)
    journal = Journal(around, around, runs, around, around)
    serving = asyncio.create_task(journal.commits.serve())
    for number in range(2):
        journal.add(Entries(run, [JournalEntry(path=f"s{number}", attempt=1)]))
    run.last_word = LastWord(run, "SUCCEEDED")
    around.gate.set()
    await until_idle(journal)
    assert around.told == ["written", "written", "ended"]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
