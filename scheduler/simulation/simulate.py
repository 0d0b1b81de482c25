"""Simulate: tasks that live through a window on a virtual clock, for whoever asks."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from ordinaut.internal.v1.scheduler_service_pb2 import SimulateRequest, SimulateResponse
from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.limits import DEFAULT_OVERLAP_BUFFER
from ordinaut.v1.schedule_pb2 import Schedule
from ordinaut.v1.task_pb2 import Overlap, RunPolicy
from ordinaut.v1.task_service_pb2 import SimulateTaskResponse
from scheduler.firing.missed_instants import CatchUpPolicy
from scheduler.metrics import SIMULATIONS
from scheduler.simulation.progress import Progress
from scheduler.simulation.scenario import Rules, Scenario, Span
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.schedule import compiled, validate

MOST_OCCURRENCES = 200_000
NOBODY = UUID(int=0)  # stands for the uid of a task that does not exist yet


class Simulations:
    """Answers simulations; however many are asked for, one slice is computed at a time."""

    def __init__(self, most_occurrences: int = MOST_OCCURRENCES) -> None:
        self._most_occurrences = most_occurrences
        self._turn = asyncio.Lock()

    async def answers(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        """What is found, slice by slice, then the summary; nothing more is computed once nobody listens."""
        with SIMULATIONS.track_inprogress():
            async with aclosing(self._found(request)) as answers:
                async for answer in answers:
                    yield answer

    async def _found(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        async with self._turn:
            checked = await asyncio.to_thread(
                validate, request.schedule, _time(request.start_time), request.stored, _time(request.start_time)
            )
        if checked.violations:
            yield SimulateResponse(violations=checked.violations)
            return
        progress = Progress(scenario_of(request, checked.schedule), self._most_occurrences)
        try:
            while not progress.done:
                async with self._turn:
                    found = await asyncio.to_thread(progress.slice)
                if found:
                    yield SimulateResponse(part=SimulateTaskResponse(occurrences=found))
        except ScheduleError as error:  # a later instant than validation looks at
            yield SimulateResponse(violations=[Violation(field="triggers", message=error.message, reason=error.reason)])
            return
        yield SimulateResponse(part=SimulateTaskResponse(summary=progress.summary()))


def scenario_of(request: SimulateRequest, schedule: Schedule) -> Scenario:
    """What the request asks to go through, with its schedule completed."""
    return Scenario(
        schedule=compiled(schedule),
        task=UUID(request.task_uid) if request.task_uid else NOBODY,
        window=Span(_time(request.start_time), _time(request.end_time)),
        catch_up=CatchUpPolicy.of(MessageToDict(schedule, preserving_proto_field_name=True)),
        rules=_rules(request.run_policy),
        durations=[duration.ToTimedelta() for duration in request.run_durations],
        fail_every=request.fail_every,
        outages=list(_spans(request.outages)),
        pauses=list(_spans(request.pauses)),
        skipped=frozenset(_time(moment) for moment in request.skipped),
    )


def _rules(policy: RunPolicy) -> Rules:
    return Rules(
        overlap=Overlap.Policy.Name(policy.overlap.policy or Overlap.SKIP),
        max_buffer=policy.overlap.max_buffer or DEFAULT_OVERLAP_BUFFER,
        start_deadline=policy.start_deadline.ToTimedelta() if policy.HasField("start_deadline") else None,
        run_timeout=policy.run_timeout.ToTimedelta() if policy.HasField("run_timeout") else None,
        pause_after_failures=policy.pause_after_failures or None,
    )


def _spans(intervals: Iterable[Interval]) -> Iterable[Span]:
    return (Span(_time(interval.start_time), _time(interval.end_time)) for interval in intervals)


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
