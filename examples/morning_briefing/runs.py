"""What the story asks about runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import GetRunRequest, ListRunsRequest

ENDED = (Run.State.SUCCEEDED, Run.State.FAILED, Run.State.CANCELLED)


async def of_task(client: Client, task: str) -> list[Run]:
    """The task's runs, the oldest first, without steps."""
    answer = await client.runs.ListRuns(ListRunsRequest(task=task))
    return list(reversed(answer.runs))


async def get(client: Client, name: str) -> Run:
    """The run with its steps."""
    return await client.runs.GetRun(GetRunRequest(name=name))


async def new_steps(client: Client, name: str) -> AsyncIterator[StepRun]:
    """Each attempt of each step, once, when it ends, until the run has ended."""
    seen: set[tuple[str, int]] = set()
    async for run in client.watch_run(name):
        for step in run.steps:
            if step.HasField("end_time") and (step.path, step.attempt) not in seen:
                seen.add((step.path, step.attempt))
                yield step


def root(run: Run) -> str:
    """What every idempotency key of the run begins with."""
    return run.steps[0].idempotency_key.removesuffix(run.steps[0].path)


def described(step: StepRun) -> str:
    """The step in one line."""
    took = (_moment(step.end_time) - _moment(step.start_time)).total_seconds() * 1000
    tool = f" {step.tool}" if step.tool else ""
    return f"{step.path}:{tool} {StepRun.State.Name(step.state).lower()} ({took:.0f} ms)"


def lag_ms(run: Run) -> float:
    """How long after its scheduled time a worker took the run first."""
    return (_moment(run.start_time) - _moment(run.scheduled_time)).total_seconds() * 1000


def _moment(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)
