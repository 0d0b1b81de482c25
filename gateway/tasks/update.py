"""UpdateTask: the change is validated without a transaction and stored if the task is still the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gateway.admission.door import Door
from gateway.api.errors import changed_concurrently
from gateway.api.field_masks import apply, masked_paths, refuse_output_fields, require_etag
from gateway.api.idempotency import Mutation
from gateway.api.json_values import parse, to_python
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.definitions.validation import CheckedTask, TaskValidator, check_description
from gateway.tasks.conversion import description_of, to_task
from gateway.tasks.lifecycle_events import announce_task
from ordinaut.errors import NotFoundError
from ordinaut.names import covers, intersection
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, task
from ordinaut.store.tasks.task import Definition, TaskRecord
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import UpdateTaskRequest

TRIES = 3
DEFINITION = frozenset({"schedule", "run_policy", "pipeline", "params", "params_schema"})
STORED_DEFINITION = ("pipeline", "schedule", "run_policy", "params", "params_schema")
SCHEDULE_FIELDS = (
    "triggers", "time_zone", "start_time", "end_time", "exclusions", "dst", "jitter", "max_occurrences",
)  # fmt: skip
# Computed for each response: an update without a mask may send them back as they were read.
VOLATILE = frozenset({"version", "update_time", "upcoming", "explanation", "warnings", "fixes", "scopes"})


@dataclass(frozen=True, slots=True)
class _Change:
    stored: TaskRecord
    changed: Task
    checked: CheckedTask | None  # None: the definition is not touched
    new_version: bool
    new_schedule: bool


class _ConcurrentChangeError(Exception):
    """Another call changed the task between the read and the write."""


class TaskUpdate:
    """Implements UpdateTask."""

    def __init__(self, database: Database, validator: TaskValidator, door: Door) -> None:
        self._database = database
        self._validator = validator
        self._door = door

    async def update(self, request: UpdateTaskRequest, caller: Caller, name: str) -> Task:
        """Applies the masked changes and returns the task with its next times and warnings.

        A change to equal values changes nothing: no version, no etag, no event.

        Raises:
            AbortedError: ETAG_MISMATCH: the etag is stale, or concurrent calls changed the task at every attempt.
        """
        mutation = Mutation(self._database, request, Task)
        if (response := await mutation.stored_response()) is not None:
            return response
        for _ in range(TRIES):
            change = await self._prepare(request, caller, name)
            if change.checked is not None and change.new_version:
                size = len(change.checked.definition.pipeline)
                await self._door.usage.require_bytes("pipeline_bytes", caller.project, size)
            mutation.replaces(to_task(change.stored))
            try:
                response = await mutation.execute(partial(_store, caller=caller, change=change))
            except _ConcurrentChangeError:
                continue
            if change.checked is None and not response.upcoming:
                await self._validator.add_upcoming(response)
            return response
        raise changed_concurrently(f"tasks/{name}")

    async def _prepare(self, request: UpdateTaskRequest, caller: Caller, name: str) -> _Change:
        stored, rights = await self._read(caller, name)
        require_etag(request.task.etag, stored.revision, request.task.name)
        problems = Problems()
        paths = masked_paths(problems, request.task, request.update_mask)
        current = to_task(stored)
        if not request.update_mask.paths:
            refuse_output_fields(problems, "task", request.task, current, VOLATILE)
        changed = apply(current, request.task, paths if not problems.violations else [])
        check_description(problems, changed)
        touched = {path.partition(".")[0] for path in paths}
        if not touched & DEFINITION:
            problems.check()
            return _Change(stored, changed, None, new_version=False, new_schedule=False)
        keeps_schedule = "schedule" not in touched
        keeps_pipeline = to_python(changed.pipeline) == to_python(current.pipeline)
        checked = await self._validator.validate(
            changed,
            problems,
            project=caller.project,
            name=name,
            owner=stored.owner,
            rights=rights,
            stored=keeps_schedule,
            before=current if keeps_pipeline else None,
            replaces=None if keeps_schedule else current.schedule,
        )
        checked = replace(checked, warnings=[*checked.warnings, *_warnings(current, checked)])
        if keeps_pipeline:  # the same document keeps its meaning
            definition = replace(checked.definition, pipeline=stored.pipeline, semantics=stored.semantics)
            checked = replace(checked, definition=definition)
        if keeps_schedule:
            checked = replace(checked, definition=replace(checked.definition, schedule=stored.schedule))
        widens = bool(_lacking(stored.scopes, checked.definition.scopes))
        new_version = _differs(stored, checked.definition, STORED_DEFINITION) or widens
        if new_version and (lost := _lacking(checked.definition.scopes, stored.scopes)):
            warning = (
                f"runs of this version may do less than those of version {stored.version}: the token that saves it "
                f"lacks {', '.join(lost)}"
            )
            checked = replace(checked, warnings=[*checked.warnings, warning])
        return _Change(
            stored,
            changed,
            checked,
            new_version=new_version,
            new_schedule=_schedule_differs(stored.schedule, checked.definition.schedule),
        )

    async def _read(self, caller: Caller, name: str) -> tuple[TaskRecord, frozenset[str]]:
        async with self._database.connection() as connection:
            stored = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if stored is None:
                raise NotFoundError.of(f"tasks/{name}")
            if stored.owner == caller.name:
                return stored, caller.scopes
            owner_scopes = await identity.owner_scopes(connection, stored.project, stored.owner)
            return stored, intersection(caller.scopes, owner_scopes)


async def _store(connection: Connection, *, caller: Caller, change: _Change) -> Task:
    locked = await task.lock(connection, project=caller.project, name=change.stored.name, owner=caller.owner_filter)
    if locked is None or locked.uid != change.stored.uid:
        raise NotFoundError.of(f"tasks/{change.stored.name}")
    if locked.revision != change.stored.revision:
        raise _ConcurrentChangeError
    checked = change.checked
    await cursor.rearm(connection, locked.uid)
    if not change.new_version and description_of(change.changed) == description_of(to_task(locked)):
        return _to_response(locked, checked)
    definition = checked.definition if checked and change.new_version else None
    if checked and change.new_schedule:  # before the new version: what is already due fires with the old one
        await _replan(connection, locked, checked)
    record = await task.update(
        connection, locked.uid, description_of(change.changed), definition, revive=change.new_schedule
    )
    await announce_task(connection, "updated", record, caller)
    return _to_response(record, checked)


def _to_response(record: TaskRecord, checked: CheckedTask | None) -> Task:
    return to_task(record, checked.upcoming, checked.warnings, checked.explanation) if checked else to_task(record)


def _warnings(current: Task, checked: CheckedTask) -> Iterator[str]:
    """Warns about a change after which nothing starts the task; a schedule that has ended has its own warning."""
    if current.schedule.triggers and not checked.has_time_triggers and not checked.event_triggers:
        yield "the schedule has no triggers any more: the task runs only when RunTask is called"


async def _replan(connection: Connection, record: TaskRecord, checked: CheckedTask) -> None:
    await cursor.replan(
        connection,
        project=record.project,
        task=record.uid,
        last_instant=checked.now,
        event_triggers=checked.event_triggers,
        ends=not checked.has_time_triggers or record.state == "PAUSED",
    )


def _lacking(scopes: Sequence[str], others: Sequence[str]) -> list[str]:
    """Returns those of the other scopes that the first do not cover."""
    return [scope for scope in others if not covers(frozenset(scopes), scope)]


def _differs(stored: TaskRecord, changed: Definition, names: Sequence[str]) -> bool:
    def parsed(definition: TaskRecord | Definition, name: str) -> object:
        text: str | None = getattr(definition, name)
        return None if text is None else parse(text)

    return any(parsed(stored, name) != parsed(changed, name) for name in names)


def _schedule_differs(stored: str, changed: str) -> bool:
    before, after = parse(stored), parse(changed)
    return any(before.get(name) != after.get(name) for name in SCHEDULE_FIELDS)
