"""Evaluates conditions as the scheduler does, without a child process for each test."""

from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from scheduler.conditions.budget import Budgets
from scheduler.conditions.judge import Judge
from scheduler.conditions.operations import OPERATIONS


class DirectPool:
    """Has no deadline."""

    async def run(self, operation: int, request: bytes, cpu_seconds: float, seconds: float) -> bytes:
        return OPERATIONS[operation](request)


def judge(database: Database, hints: Hints, budgets: Budgets | None = None) -> Judge:
    """A judge that evaluates in this process."""
    return Judge(database, hints, DirectPool(), budgets)


async def judge_all(judging: Judge) -> None:
    """Evaluates until nothing is left that is within the budgets."""
    while await judging.run_once():
        pass
