"""Answers simulation requests: a task on a virtual clock, slice by slice."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
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
from scheduler.firing.catch_up_policy import CatchUpPolicy
from scheduler.metrics import SIMULATIONS
from scheduler.simulation.progress import Progress
from scheduler.simulation.scenario import Rules, Scenario, Span
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.schedule import compiled, validate

MAX_OCCURRENCES = 200_000
NO_TASK = UUID(int=0)  # the uid of a task that does not exist yet


class Simulations:
    """Runs simulations concurrently; at most one slice is computed at a time."""

    def __init__(self, max_occurrences: int = MAX_OCCURRENCES) -> None:
        self._max_occurrences = max_occurrences
        self._slice_lock = asyncio.Lock()

    async def answers(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        """Yields the occurrences of each slice, then the summary; stops computing when the stream is closed."""
        with SIMULATIONS.track_inprogress():
            async with aclosing(self._simulate(request)) as answers:
                async for answer in answers:
                    yield answer

    async def _simulate(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        async with self._slice_lock:
            checked = await asyncio.to_thread(
                validate, request.schedule, _time(request.start_time), request.stored, _time(request.start_time)
            )
        if checked.violations:
            yield SimulateResponse(violations=checked.violations)
            return
        progress = Progress(scenario_of(request, checked.schedule), self._max_occurrences)
        try:
            while not progress.done:
                async with self._slice_lock:
                    occurrences = await asyncio.to_thread(progress.slice)
                if occurrences:
                    yield SimulateResponse(part=SimulateTaskResponse(occurrences=occurrences))
        except ScheduleError as error:  # at a later instant than those that validation computes
            yield SimulateResponse(violations=[Violation(field="triggers", message=error.message, reason=error.reason)])
            return
        yield SimulateResponse(part=SimulateTaskResponse(summary=progress.summary()))


def scenario_of(request: SimulateRequest, schedule: Schedule) -> Scenario:
    """The scenario of a request; `schedule` is its completed schedule."""
    return Scenario(
        schedule=compiled(schedule),
        task=UUID(request.task_uid) if request.task_uid else NO_TASK,
        window=Span(_time(request.start_time), _time(request.end_time)),
        catch_up=CatchUpPolicy.of(MessageToDict(schedule, preserving_proto_field_name=True)),
        rules=_rules(request.run_policy),
        durations=[duration.ToTimedelta() for duration in request.run_durations],
        fail_every=request.fail_every,
        outages=list(_spans(request.outages)),
        pauses=list(_spans(request.pauses)),
        skipped=frozenset(_time(stamp) for stamp in request.skipped),
    )


def _rules(policy: RunPolicy) -> Rules:
    return Rules(
        overlap=Overlap.Policy.Name(policy.overlap.policy or Overlap.SKIP),
        max_buffer=policy.overlap.max_buffer or DEFAULT_OVERLAP_BUFFER,
        start_deadline=policy.start_deadline.ToTimedelta() if policy.HasField("start_deadline") else None,
        run_timeout=_longest_run(policy),
        pause_after_failures=policy.pause_after_failures or None,
    )


def _longest_run(policy: RunPolicy) -> timedelta | None:
    """Returns the earlier one of timeout and deadline; simulated runs do not wait."""
    limits = [getattr(policy, name).ToTimedelta() for name in ("run_timeout", "deadline") if policy.HasField(name)]
    return min(limits, default=None)


def _spans(intervals: Iterable[Interval]) -> Iterable[Span]:
    return (Span(_time(interval.start_time), _time(interval.end_time)) for interval in intervals)


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
