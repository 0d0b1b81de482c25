"""Validates tasks before they are stored.

The fields are checked here, the schedule by the scheduler, and the pipeline by an engine.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.api.json_values import parse, timestamp, to_json, to_python
from gateway.api.violations import (
    DESCRIPTION_MAX,
    DISPLAY_NAME_MAX,
    POINTERS,
    Problems,
    join,
    reroot,
    under,
)
from gateway.clients import PREVIEW_SECONDS, EngineClient, SchedulerClient
from gateway.definitions.owner_priority import require_priority
from gateway.definitions.references import (
    assignee_warnings,
    callable_names,
    missing_rights,
    require_rights,
    task_warnings,
    tool_uses,
)
from gateway.definitions.run_policy import (
    DEFAULT_MAX_LOSSES,
    DEFAULT_PRIORITY,
    check_policy,
    max_buffer_of,
    overlap_of,
    run_timeout_of,
    span_of,
)
from gateway.definitions.upcoming import skipped_and_snoozed
from ordinaut.documents.patch import rank
from ordinaut.documents.pointers import pointer_of
from ordinaut.errors import OrdinautError, Violation
from ordinaut.internal.v1 import violation_pb2
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidatePipelineRequest, ValidatePipelineResponse
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest, ValidateScheduleResponse
from ordinaut.names import DOTTED
from ordinaut.rpc.status import fix_of
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.store.tasks.cursor import NewEventTrigger
from ordinaut.store.tasks.task import Definition
from ordinaut.store.tool import NamedTools
from ordinaut.v1.draft_pb2 import Question
from ordinaut.v1.error_pb2 import ErrorReason, Fix
from ordinaut.v1.schedule_pb2 import Schedule, Upcoming
from ordinaut.v1.task_pb2 import Task

UPCOMING = 5
REQUESTED_MAX = 1000
TASK_FIELDS = ("params", "params_schema")  # engines report violations in these with paths that begin at the task


@dataclass(frozen=True, slots=True)
class CheckedTask:
    """A valid task: the definition to store, the input of its cursor, and the rest of the response."""

    definition: Definition
    now: datetime
    event_triggers: list[NewEventTrigger]
    has_time_triggers: bool
    upcoming: list[Upcoming]
    explanation: str
    warnings: list[str]
    fixes: list[Fix]


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation with a path that begins at the task, and what only the caller can decide about it.

    The patches of the questions have pointers from the root of the task. `is_warning`: the task is valid.
    """

    violation: Violation
    questions: Sequence[Question] = ()
    is_warning: bool = False


class TaskValidator:
    """Validates tasks; no transaction is open during the calls to other services."""

    def __init__(self, database: Database, scheduler: SchedulerClient, engines: EngineClient) -> None:
        self._database = database
        self._scheduler = scheduler
        self._engines = engines

    async def validate(
        self,
        task: Task,
        problems: Problems,
        *,
        project: str,
        name: str,
        owner: str,
        rights: frozenset[str],
        stored: bool = False,
        before: Task | None = None,
        replaces: Schedule | None = None,
    ) -> CheckedTask:
        """Validates the definition of a task with the id `name`, which may be empty.

        `rights` are the scopes with which it is saved; `stored` means that its schedule is already stored. `before` is
        the stored task if the pipeline is not changed: the problems that it has already are only warnings. `replaces`
        is the stored schedule, of which equal parts are kept.

        Raises:
            InvalidArgumentError: with all violations, including those in `problems`.
            PermissionDeniedError: the owner may not call a tool, or use the priority (PRIORITY_NOT_ALLOWED).
            UnavailableError: SCHEDULER_UNAVAILABLE or ENGINE_UNAVAILABLE.
        """
        check_policy(problems, task.run_policy, "task.run_policy")
        document = to_python(task.pipeline)
        await self._require_priority(project, owner, task.run_policy.priority or DEFAULT_PRIORITY)
        tools = await self._tools(project, document)
        schedule, pipeline = await self._validate_parts(task, tools, rights, stored=stored, replaces=replaces)
        problems.extend(reroot(schedule.violations, "task.schedule"))
        if before is not None and pipeline.violations:
            pipeline = _without_known_problems(
                pipeline, await self._engines.validate_pipeline(_pipeline_request(before, tools, rights))
            )
        problems.extend(_pipeline_problems(pipeline, "task"))
        topics = [
            (f"task.schedule.triggers[{index}].event.topic", trigger.event.topic)
            for index, trigger in enumerate(task.schedule.triggers)
            if trigger.WhichOneof("kind") == "event"
        ]
        require_rights(rights, document, "task.pipeline", owner=owner, problems=problems, topics=topics)
        missing = await task_warnings(
            self._database, document, project=project, owner=owner, rights=rights, itself=name
        )
        missing += await assignee_warnings(self._database, document, project=project, rights=rights)
        return _checked_task(task, tools, rights, schedule, pipeline, missing)

    async def findings(self, task: Task, *, project: str, owner: str, rights: frozenset[str]) -> list[Finding]:
        """Returns every violation of a task that may be unfinished, and the warnings with a fix, without raising them.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE or ENGINE_UNAVAILABLE.
        """
        problems = Problems()
        check_description(problems, task, "")
        check_policy(problems, task.run_policy, "run_policy")
        document = to_python(task.pipeline)
        tools = await self._tools(project, document)
        schedule, pipeline = await self._validate_parts(task, tools, rights, stored=False, replaces=None)
        problems.extend(violation for _, violation in missing_rights(rights, document, "pipeline"))
        return [
            *(Finding(violation) for violation in problems.violations),
            *_findings(schedule.violations, "schedule"),
            *(
                finding
                for violation in pipeline.violations
                for finding in _findings([violation], "" if _is_in_task(violation.field) else "pipeline")
            ),
            *(replace(finding, is_warning=True) for finding in _findings(pipeline.warning_fixes, "pipeline")),
        ]

    async def validate_inline(
        self, task: Task, problems: Problems, *, project: str, owner: str, rights: frozenset[str]
    ) -> Definition:
        """Validates the pipeline, params and policy of a run without a task; raises as `validate`.

        Paths of violations begin at the request, for example `pipeline.steps[2].if`.
        """
        check_policy(problems, task.run_policy, "run_policy")
        document = to_python(task.pipeline)
        await self._require_priority(project, owner, task.run_policy.priority or DEFAULT_PRIORITY)
        tools = await self._tools(project, document)
        pipeline = await self._engines.validate_pipeline(_pipeline_request(task, tools, rights))
        problems.extend(_pipeline_problems(pipeline, ""))
        require_rights(rights, document, "pipeline", owner=owner, problems=problems)
        return _definition(task, rights, Schedule(), pipeline)

    async def add_upcoming(self, task: Task) -> None:
        """Adds the explanation of a stored task and, if it is ACTIVE, its next times, with jitter.

        Adds nothing if the scheduler is unavailable.
        """
        async with self._database.connection() as connection:
            changes = await skipped_and_snoozed(connection, UUID(task.uid))
        request = ValidateScheduleRequest(
            schedule=task.schedule, now=timestamp(changes.now), stored=True, task_uid=task.uid
        )
        request.after_time.FromDatetime(changes.since)
        if task.state == Task.ACTIVE:
            request.count = min(UPCOMING + len(changes.skipped), REQUESTED_MAX)
        try:
            response = await self._scheduler.validate(request, seconds=PREVIEW_SECONDS)
        except OrdinautError:
            return
        task.upcoming.extend(changes.apply(response.upcoming, UPCOMING))
        task.explanation = response.explanation

    async def _require_priority(self, project: str, owner: str, priority: int) -> None:
        async with self._database.connection() as connection:
            await require_priority(connection, project, owner, priority)

    async def _tools(self, project: str, document: Any) -> NamedTools:
        async with self._database.connection() as connection:
            return await tool.named(connection, project, [use.tool for use in tool_uses(document)])

    async def _validate_parts(
        self, task: Task, tools: NamedTools, rights: frozenset[str], *, stored: bool, replaces: Schedule | None
    ) -> tuple[ValidateScheduleResponse, ValidatePipelineResponse]:
        schedule = ValidateScheduleRequest(
            schedule=task.schedule, now=timestamp(tools.now), count=UPCOMING, stored=stored, before=replaces
        )
        pipeline = _pipeline_request(task, tools, rights)
        answers = await asyncio.gather(
            self._scheduler.validate(schedule), self._engines.validate_pipeline(pipeline), return_exceptions=True
        )
        for response in answers:
            if isinstance(response, BaseException):
                raise response
        return answers  # type: ignore[return-value]  # neither is an exception


def _without_known_problems(
    pipeline: ValidatePipelineResponse, before: ValidatePipelineResponse
) -> ValidatePipelineResponse:
    """Turns the problems that the stored task has as well into warnings.

    The rules of a pipeline become stricter with a release. A task that was accepted under the old ones must remain
    editable: a change of its schedule or priority is not the cause of these problems.
    """
    known = {(violation.field, violation.message) for violation in before.violations}
    known_ones = [each for each in pipeline.violations if (each.field, each.message) in known]
    result = ValidatePipelineResponse()
    result.CopyFrom(pipeline)
    del result.violations[:]
    result.violations.extend(each for each in pipeline.violations if (each.field, each.message) not in known)
    result.warnings.extend(f"{each.field}: {each.message}" for each in known_ones)
    return result


def check_description(problems: Problems, task: Task, root: str = "task") -> None:
    """Adds the violations of the descriptive fields of a task."""
    problems.text(join(root, "display_name"), task.display_name, DISPLAY_NAME_MAX)
    problems.text(join(root, "description"), task.description, DESCRIPTION_MAX, lines=True)
    problems.labels(join(root, "labels"), task.labels)


def stored_json(message: Message) -> str:
    """Converts a message to JSON as it is stored: proto3 JSON with the field names of the proto."""
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _pipeline_request(task: Task, tools: NamedTools, rights: frozenset[str]) -> ValidatePipelineRequest:
    return ValidatePipelineRequest(
        pipeline=to_json(task.pipeline).encode(),
        tools=_visible_definitions(to_python(task.pipeline), tools, rights),
        tool_names=callable_names(rights, tools.every_name),
        params_schema=to_json(task.params_schema).encode() if task.HasField("params_schema") else b"",
        params=to_json(task.params).encode(),
    )


def _visible_definitions(document: Any, tools: NamedTools, rights: frozenset[str]) -> list[bytes]:
    """The definitions of the tools that may be called, and an empty one for every other name.

    A tool that may not be called is thus refused for the missing scope only, whether it exists or not: neither its
    existence nor its schemas show in the violations.
    """
    definitions = [parse(definition) for definition in tools.definitions]
    known = [definition for definition in definitions if callable_names(rights, [definition["name"]])]
    used = dict.fromkeys(use.tool for use in tool_uses(document) if DOTTED.fullmatch(use.tool))
    hidden = [{"name": name, "effect": "READ"} for name in used if not callable_names(rights, [name])]
    return [orjson.dumps(definition) for definition in [*known, *hidden]]


def _pipeline_problems(response: ValidatePipelineResponse, root: str) -> Iterator[Violation]:
    document = join(root, "pipeline")
    for violation in response.violations:
        yield from reroot([violation], root if _is_in_task(violation.field) else document)
    if not response.violations and not response.pipeline:
        yield Violation(document, "must contain at least one step", ErrorReason.INVALID_PIPELINE)


def _is_in_task(field: str) -> bool:
    return field.partition(".")[0].partition("[")[0] in TASK_FIELDS


def _findings(violations: Iterable[violation_pb2.Violation], root: str) -> Iterator[Finding]:
    for message in violations:
        [violation] = reroot([message], root)
        yield Finding(violation, [_rerooted(question, pointer_of(root)) for question in message.questions])


def _rerooted(question: Question, prefix: str) -> Question:
    result = Question()
    result.CopyFrom(question)
    for choice in result.choices:
        for operation in choice.patch:
            for key in POINTERS:
                if key in operation.fields:
                    operation[key] = prefix + operation.fields[key].string_value
    return result


def _fixes(advice: Iterable[Violation]) -> Iterator[Fix]:
    """Yields the fixes of warnings, in the order in which they can be applied."""
    fixed = [(each.field, each.repair) for each in advice if each.repair is not None]
    for field, repair in sorted(fixed, key=lambda pair: rank(pair[1].operations)):
        yield fix_of(field, repair)


def _checked_task(
    task: Task,
    tools: NamedTools,
    rights: frozenset[str],
    schedule: ValidateScheduleResponse,
    pipeline: ValidatePipelineResponse,
    missing: Sequence[Violation],
) -> CheckedTask:
    return CheckedTask(
        definition=_definition(task, rights, schedule.schedule, pipeline),
        now=tools.now,
        event_triggers=list(_event_triggers(schedule.schedule)),
        has_time_triggers=any(trigger.WhichOneof("kind") != "event" for trigger in schedule.schedule.triggers),
        upcoming=list(schedule.upcoming),
        explanation=schedule.explanation,
        warnings=[*schedule.warnings, *pipeline.warnings, *(f"{item.field}: {item.message}" for item in missing)],
        fixes=list(_fixes([*reroot(pipeline.warning_fixes, "task.pipeline"), *under("task.pipeline", missing)])),
    )


def _definition(
    task: Task, rights: frozenset[str], schedule: Schedule, pipeline: ValidatePipelineResponse
) -> Definition:
    policy = task.run_policy
    return Definition(
        pipeline=pipeline.pipeline.decode(),
        tools=list(pipeline.tools),
        scopes=sorted(rights),
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
