"""Evaluates conditions of triggers and waits in child processes, project after project.

An entry of `match_todo` is locked for one slice of CPU time. In the same transaction its runs are queued, its waits are
ended and the entry is moved, so that a crash repeats the slice. During the evaluation only the entry is locked.
"""

from dataclasses import replace
from typing import Protocol

from ordinaut.errors import UnavailableError
from ordinaut.processes.pool import ProcessPool, TooCostlyError
from ordinaut.store import match_todo
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.match_todo import Todo
from ordinaut.store.sql import Connection
from scheduler.conditions import operations
from scheduler.conditions.budget import Budgets
from scheduler.conditions.consequences import apply, disable
from scheduler.conditions.reading import read
from scheduler.conditions.work import Answer, Work, read_answer
from scheduler.metrics import CONDITION_PROCESSES_ENDED, CONDITION_SECONDS

SIZE = 2
KILL_SECONDS = 2.0
"""CPU time of an evaluation; its slice is 20 ms."""
PATIENCE = 10.0
OVERHEAD_SECONDS = 0.0005
"""What is charged for reading and storing, besides the CPU time of the child process."""


class Pool(Protocol):
    """Executes operations, as ProcessPool does."""

    async def run(self, operation: int, request: bytes, cpu_seconds: float, seconds: float) -> bytes:
        """Executes one operation; raises TooCostlyError if it uses more CPU time, or takes more than `seconds`."""
        ...


def new_pool() -> ProcessPool:
    """The processes that evaluate conditions."""
    return ProcessPool(operations.__name__, SIZE, CONDITION_PROCESSES_ENDED.inc)


class Judge:
    """Evaluates conditions; several schedulers may do so concurrently."""

    def __init__(self, database: Database, hints: Hints, pool: Pool, budgets: Budgets | None = None) -> None:
        self._database = database
        self._hints = hints
        self._pool = pool
        self._budgets = budgets or Budgets()
        self._served: set[str] = set()

    async def run_once(self) -> bool:
        """Gives a slice to the next project; False when no project has work within its budget.

        To be called by `SIZE` loops at a time: while one works for a project, the others serve other ones.
        """
        enabled = await self._database.repeat(match_todo.enable_rearmed)
        async with self._database.connection() as connection:
            projects = await match_todo.projects(connection)
            if not projects:
                await match_todo.drop_ended(connection)
        turns = [project for project in self._budgets.in_turn(projects) if project not in self._served]
        for project in turns:
            if await self._serve(project):
                return True
        return enabled

    async def _serve(self, project: str) -> bool:
        """Evaluates conditions of one project for one slice; False if its entries are locked or no process is free."""
        seconds = self._budgets.slice(project)
        self._served.add(project)
        try:
            async with self._database.transaction() as connection:
                todo = await match_todo.lock(connection, project)
                if todo is None:
                    return False
                hints = await self._judge(connection, todo, seconds)
        except UnavailableError:
            return False
        finally:
            self._served.discard(project)
        self._hints.send(*hints)
        return True

    async def _judge(self, connection: Connection, todo: Todo, seconds: float) -> set[str]:
        work, last = await read(connection, todo, seconds)
        answer = await self._evaluate(work)
        CONDITION_SECONDS.inc(answer.total_seconds)
        costly = self._budgets.charge(todo.project, answer.total_seconds + OVERHEAD_SECONDS, answer.seconds)
        hints = await apply(connection, todo, work, answer)
        await disable(connection, todo, answer, costly)
        after = last if answer.complete else answer.after
        await match_todo.move(connection, todo, after=after, next_condition=answer.next)
        return hints

    async def _evaluate(self, work: Work) -> Answer:
        """Evaluates in a process; if it has to be ended, the next condition alone, which may then count as not met."""
        for most in (None, 1):
            request = replace(work, most=most).json()
            try:
                return read_answer(await self._pool.run(operations.EVALUATE, request, KILL_SECONDS, PATIENCE))
            except TooCostlyError:
                continue
        return _given_up(work)


def _given_up(work: Work) -> Answer:
    """The answer if the next condition cannot be evaluated."""
    answer = Answer(work.after, work.next + 1, total_seconds=2 * KILL_SECONDS)
    failure = f"its evaluation takes longer than {KILL_SECONDS:g} s of CPU time"
    place = work.next - work.first
    if place >= len(work.triggers):
        answer.wait_failures[place - len(work.triggers)] = failure
    elif (trigger := work.triggers[place]) is not None:
        answer.failures[trigger.id] = failure
        answer.seconds[trigger.id] = 2 * KILL_SECONDS
        answer.exhaustions[trigger.id] = trigger.exhaustions + 1
    return answer
