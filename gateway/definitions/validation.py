"""Checks a task before it is stored: fields here, the schedule by the scheduler, the pipeline by an engine."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.api.json_values import timestamp, to_json, to_python
from gateway.api.violations import DESCRIPTION_MAX, DISPLAY_NAME_MAX, Problems, join, reroot, under
from gateway.clients import PREVIEW_SECONDS, Engines, Scheduler
from gateway.definitions.references import callable_names, doubtful_assignees, missing_tasks, require_rights, tool_uses
from gateway.definitions.run_policy import (
    DEFAULT_MAX_LOSSES,
    DEFAULT_PRIORITY,
    check_policy,
    max_buffer_of,
    overlap_of,
    run_timeout_of,
    span_of,
)
from gateway.definitions.upcoming import decided
from ordinaut.errors import OrdinautError, Violation
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidatePipelineRequest, ValidatePipelineResponse
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest, ValidateScheduleResponse
from ordinaut.limits import MAX_UPCOMING
from ordinaut.rpc.status import fix_of
from ordinaut.store import tool
from ordinaut.store.cursor import NewEventTrigger
from ordinaut.store.database import Database
from ordinaut.store.task import Definition
from ordinaut.store.tool import NamedTools
from ordinaut.v1.error_pb2 import ErrorReason, Fix
from ordinaut.v1.schedule_pb2 import Schedule, Upcoming
from ordinaut.v1.task_pb2 import Task

UPCOMING = 5
BESIDE_THE_PIPELINE = ("params", "params_schema")  # what an engine reports with paths that begin at the task


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A task without problems: what is stored of it, what the clock needs, and what its caller is told."""

    definition: Definition
    now: datetime
    event_triggers: list[NewEventTrigger]
    has_time_triggers: bool
    upcoming: list[Upcoming]
    explanation: str
    warnings: list[str]
    fixes: list[Fix]


class TaskCheck:
    """Checks tasks; holds no transaction while it asks the other processes."""

    def __init__(self, database: Database, scheduler: Scheduler, engines: Engines) -> None:
        self._database = database
        self._scheduler = scheduler
        self._engines = engines

    async def check(
        self,
        task: Task,
        problems: Problems,
        *,
        project: str,
        name: str,
        owner: str,
        rights: frozenset[str],
        stored: bool = False,
    ) -> CheckedTask:
        """Checks the definition of the task to be called `name`, which may be empty.

        `rights` are its owner's scopes, `stored` says that its schedule is not new.

        Raises:
            InvalidArgumentError: with every problem, those in `problems` included.
            PermissionDeniedError: the owner may not call a tool.
            UnavailableError: SCHEDULER_UNAVAILABLE or ENGINE_UNAVAILABLE.
        """
        check_policy(problems, task.run_policy, "task.run_policy")
        document = to_python(task.pipeline)
        tools = await self._tools(project, document)
        timing, pipeline = await self._ask(task, tools, rights, stored=stored)
        problems.extend(reroot(timing.violations, "task.schedule"))
        problems.extend(_pipeline_problems(pipeline, "task"))
        problems.check()
        require_rights(rights, document, "task.pipeline")
        lost = await missing_tasks(self._database, document, project=project, owner=owner, rights=rights, itself=name)
        lost += await doubtful_assignees(self._database, document, project=project, rights=rights)
        return CheckedTask(
            definition=_definition(task, timing.schedule, pipeline),
            now=tools.now,
            event_triggers=list(_event_triggers(timing.schedule)),
            has_time_triggers=any(trigger.WhichOneof("kind") != "event" for trigger in timing.schedule.triggers),
            upcoming=list(timing.upcoming),
            explanation=timing.explanation,
            warnings=[*timing.warnings, *pipeline.warnings, *(f"{one.field}: {one.message}" for one in lost)],
            fixes=list(_fixes([*reroot(pipeline.warning_fixes, "task.pipeline"), *under("task.pipeline", lost)])),
        )

    async def check_inline(self, task: Task, problems: Problems, *, project: str, rights: frozenset[str]) -> Definition:
        """Checks the pipeline, params and policy of a task that has neither name nor schedule; raises as `check`.

        The fields of its problems begin at the request: `pipeline.steps[2].if`.
        """
        check_policy(problems, task.run_policy, "run_policy")
        document = to_python(task.pipeline)
        tools = await self._tools(project, document)
        pipeline = await self._engines.validate_pipeline(_pipeline_question(task, tools, rights))
        problems.extend(_pipeline_problems(pipeline, ""))
        problems.check()
        require_rights(rights, document, "pipeline")
        return _definition(task, Schedule(), pipeline)

    async def foretell(self, task: Task) -> None:
        """Adds the explanation of a stored task and, if it is ACTIVE, its next times, jitter included.

        Nothing while the scheduler is away.
        """
        async with self._database.connection() as connection:
            people = await decided(connection, UUID(task.uid))
        request = ValidateScheduleRequest(
            schedule=task.schedule, now=timestamp(people.now), stored=True, task_uid=task.uid
        )
        request.after_time.FromDatetime(people.since)
        if task.state == Task.ACTIVE:
            request.count = min(UPCOMING + len(people.skipped), MAX_UPCOMING)
        try:
            answer = await self._scheduler.validate(request, seconds=PREVIEW_SECONDS)
        except OrdinautError:
            return
        task.upcoming.extend(people.shown(answer.upcoming, UPCOMING))
        task.explanation = answer.explanation

    async def _tools(self, project: str, document: Any) -> NamedTools:
        async with self._database.connection() as connection:
            return await tool.named(connection, project, [use.tool for use in tool_uses(document)])

    async def _ask(
        self, task: Task, tools: NamedTools, rights: frozenset[str], *, stored: bool
    ) -> tuple[ValidateScheduleResponse, ValidatePipelineResponse]:
        timing = ValidateScheduleRequest(
            schedule=task.schedule, now=timestamp(tools.now), count=UPCOMING, stored=stored
        )
        pipeline = _pipeline_question(task, tools, rights)
        answers = await asyncio.gather(
            self._scheduler.validate(timing), self._engines.validate_pipeline(pipeline), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers  # type: ignore[return-value]  # neither is an exception


def check_description(problems: Problems, task: Task) -> None:
    """Adds what is wrong with what people see of a task."""
    problems.text("task.display_name", task.display_name, DISPLAY_NAME_MAX)
    problems.text("task.description", task.description, DESCRIPTION_MAX, lines=True)
    problems.labels("task.labels", task.labels)


def stored_json(message: Message) -> str:
    """proto3 JSON with the proto's own field names: how messages are stored."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _pipeline_question(task: Task, tools: NamedTools, rights: frozenset[str]) -> ValidatePipelineRequest:
    return ValidatePipelineRequest(
        pipeline=to_json(task.pipeline).encode(),
        tools=[definition.encode() for definition in tools.definitions],
        tool_names=callable_names(rights, tools.every_name),
        params_schema=to_json(task.params_schema).encode() if task.HasField("params_schema") else b"",
        params=to_json(task.params).encode(),
    )


def _pipeline_problems(answer: ValidatePipelineResponse, root: str) -> Iterator[Violation]:
    document = join(root, "pipeline")
    for violation in answer.violations:
        beside = violation.field.partition(".")[0].partition("[")[0] in BESIDE_THE_PIPELINE
        yield from reroot([violation], root if beside else document)
    if not answer.violations and not answer.pipeline:
        yield Violation(document, "must hold at least one step", ErrorReason.INVALID_PIPELINE)


def _fixes(advice: Iterable[Violation]) -> Iterator[Fix]:
    """What would end warnings."""
    for violation in advice:
        if violation.repair is not None:
            yield fix_of(violation.field, violation.repair)


def _definition(task: Task, schedule: Schedule, pipeline: ValidatePipelineResponse) -> Definition:
    policy = task.run_policy
    return Definition(
        pipeline=pipeline.pipeline.decode(),
        tools=list(pipeline.tools),
        schedule=stored_json(schedule),
        run_policy=stored_json(policy),
        params=to_json(task.params),
        params_schema=to_json(task.params_schema) if task.HasField("params_schema") else None,
        overlap=overlap_of(policy),
        max_buffer=max_buffer_of(policy),
        ignore_waiting=policy.overlap.ignore_waiting,
        priority=policy.priority or DEFAULT_PRIORITY,
        max_losses=policy.max_losses or DEFAULT_MAX_LOSSES,
        run_timeout=run_timeout_of(policy),
        start_deadline=span_of(policy, "start_deadline"),
        pause_after_failures=policy.pause_after_failures or None,
        expect_success_every=span_of(policy, "expect_success_every"),
    )


def _event_triggers(schedule: Schedule) -> Iterator[NewEventTrigger]:
    for trigger in schedule.triggers:
        if trigger.WhichOneof("kind") == "event":
            params = to_json(trigger.params) if trigger.HasField("params") else None
            yield NewEventTrigger(
                trigger=trigger.id, topic=trigger.event.topic, condition=trigger.event.when, params=params
            )
