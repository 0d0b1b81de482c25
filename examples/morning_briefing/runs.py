"""Queries about runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import GetRunRequest, ListRunsRequest

ENDED = (Run.State.SUCCEEDED, Run.State.FAILED, Run.State.CANCELLED)


async def of_task(client: Client, task: str) -> list[Run]:
    """The runs of the task, oldest first, without steps."""
    answer = await client.runs.ListRuns(ListRunsRequest(task=task))
    return list(reversed(answer.runs))


async def get(client: Client, name: str) -> Run:
    """The run with its steps."""
    return await client.runs.GetRun(GetRunRequest(name=name))


async def new_steps(client: Client, name: str) -> AsyncIterator[StepRun]:
    """Yields each recorded attempt of each step once, when it has ended, until the run has ended."""
    yielded: set[tuple[str, int]] = set()
    async for run in client.watch_run(name):
        for step in run.steps:
            if step.HasField("end_time") and (step.path, step.attempt) not in yielded:
                yielded.add((step.path, step.attempt))
                yield step


def root(run: Run) -> str:
    """The common prefix of the idempotency keys of the run."""
    return run.steps[0].idempotency_key.removesuffix(run.steps[0].path)


def described(step: StepRun) -> str:
    """Describes the step in one line."""
    took = (_instant(step.end_time) - _instant(step.start_time)).total_seconds() * 1000
    tool = f" {step.tool}" if step.tool else ""
    return f"{step.path}:{tool} {StepRun.State.Name(step.state).lower()} ({took:.0f} ms)"


def lag_ms(run: Run) -> float:
    """Milliseconds from the scheduled time of the run to its first claim."""
    return (_instant(run.start_time) - _instant(run.scheduled_time)).total_seconds() * 1000


def _instant(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)
