"""Changing a task: checked without a transaction, stored if nobody was faster."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from google.protobuf.message import Message

from gateway.api.field_masks import apply, masked_paths, require_etag
from gateway.api.idempotency import Mutation
from gateway.api.json_values import parse
from gateway.api.violations import Problems, output_only
from gateway.authentication.caller import Caller
from gateway.definitions.validation import CheckedTask, TaskCheck, check_description
from gateway.tasks.conversion import description_of, to_task
from gateway.tasks.lifecycle_events import announce_task
from ordinaut.errors import AbortedError, NotFoundError
from ordinaut.store import cursor, identity, task
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.task import Definition, TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import UpdateTaskRequest

TRIES = 3
DEFINITION = frozenset({"schedule", "run_policy", "pipeline", "params", "params_schema"})
STORED_DEFINITION = ("pipeline", "schedule", "run_policy", "params", "params_schema")
WHAT_THE_CLOCK_READS = (
    "triggers", "time_zone", "start_time", "end_time", "exclusions", "dst", "jitter", "max_occurrences",
)  # fmt: skip
# Computed anew for each answer: an unmasked update may send them back as they were read.
FLEETING = frozenset({"version", "update_time", "upcoming", "explanation", "warnings", "fixes"})


@dataclass(frozen=True, slots=True)
class _Change:
    stored: TaskRecord
    wanted: Task
    checked: CheckedTask | None  # None: the definition is not touched
    new_version: bool
    new_schedule: bool


class _ChangedMeanwhileError(Exception):
    """Another call changed the task between reading and storing."""


class TaskUpdate:
    """UpdateTask."""

    def __init__(self, database: Database, check: TaskCheck) -> None:
        self._database = database
        self._check = check

    async def update(self, request: UpdateTaskRequest, caller: Caller, name: str) -> Task:
        """Applies the masked changes and answers with the task, its next times and warnings.

        Raises:
            AbortedError: ETAG_MISMATCH: the shown etag is stale, or the task changes all the time.
        """
        mutation = Mutation(self._database, request, Task)
        if (answer := await mutation.earlier()) is not None:
            return answer
        for _ in range(TRIES):
            change = await self._prepare(request, caller, name)
            try:
                answer = await mutation.once(partial(_store, caller=caller, change=change))
            except _ChangedMeanwhileError:
                continue
            if change.checked is None and not answer.upcoming:
                await self._check.foretell(answer)
            return answer
        raise AbortedError(ErrorReason.ETAG_MISMATCH, f"tasks/{name} changes all the time", {"resource": name})

    async def _prepare(self, request: UpdateTaskRequest, caller: Caller, name: str) -> _Change:
        stored, rights = await self._read(caller, name)
        require_etag(request.task.etag, stored.revision, request.task.name)
        problems = Problems()
        paths = masked_paths(problems, request.task, request.update_mask)
        current = to_task(stored)
        if not request.update_mask.paths:
            _refuse_foreign_values(problems, request.task, current)
        wanted = apply(current, request.task, paths if not problems.found else [])
        check_description(problems, wanted)
        touched = {path.partition(".")[0] for path in paths}
        if not touched & DEFINITION:
            problems.check()
            return _Change(stored, wanted, None, new_version=False, new_schedule=False)
        kept = "schedule" not in touched
        checked = await self._check.check(
            wanted, problems, project=caller.project, name=name, owner=stored.owner, rights=rights, stored=kept
        )
        if kept:
            checked = replace(checked, definition=replace(checked.definition, schedule=stored.schedule))
        return _Change(
            stored,
            wanted,
            checked,
            new_version=_differs(stored, checked.definition, STORED_DEFINITION),
            new_schedule=_clock_differs(stored.schedule, checked.definition.schedule),
        )

    async def _read(self, caller: Caller, name: str) -> tuple[TaskRecord, frozenset[str]]:
        async with self._database.connection() as connection:
            stored = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if stored is None:
                raise NotFoundError.of(f"tasks/{name}")
            if stored.owner == caller.name:
                return stored, caller.scopes
            return stored, await identity.owner_scopes(connection, stored.project, stored.owner)


async def _store(connection: Connection, *, caller: Caller, change: _Change) -> Task:
    locked = await task.lock(connection, project=caller.project, name=change.stored.name, owner=caller.owner_filter)
    if locked is None or locked.uid != change.stored.uid:
        raise NotFoundError.of(f"tasks/{change.stored.name}")
    if locked.revision != change.stored.revision:
        raise _ChangedMeanwhileError
    checked = change.checked
    definition = checked.definition if checked and change.new_version else None
    if checked and change.new_schedule:  # before there is a new version: what was due fires with the old one
        await _replan(connection, locked, checked)
    record = await task.update(
        connection, locked.uid, description_of(change.wanted), definition, revive=change.new_schedule
    )
    await announce_task(connection, "updated", record, caller)
    return to_task(record, checked.upcoming, checked.warnings, checked.explanation) if checked else to_task(record)


async def _replan(connection: Connection, record: TaskRecord, checked: CheckedTask) -> None:
    await cursor.replan(
        connection,
        project=record.project,
        task=record.uid,
        last_instant=checked.now,
        event_triggers=checked.event_triggers,
        ends=not checked.has_time_triggers or record.state == "PAUSED",
    )


def _differs(stored: TaskRecord, wanted: Definition, names: Sequence[str]) -> bool:
    def said(holder: TaskRecord | Definition, name: str) -> object:
        text: str | None = getattr(holder, name)
        return None if text is None else parse(text)

    return any(said(stored, name) != said(wanted, name) for name in names)


def _clock_differs(stored: str, wanted: str) -> bool:
    before, after = parse(stored), parse(wanted)
    return any(before.get(name) != after.get(name) for name in WHAT_THE_CLOCK_READS)


def _refuse_foreign_values(problems: Problems, sent: Message, current: Message) -> None:
    """Without a mask a whole task may be sent back as it was read, but not with the server's fields changed."""
    same = frozenset(
        name for name in output_only(sent) if name in FLEETING or getattr(sent, name) == getattr(current, name)
    )
    problems.not_writable("task", sent, but=same)
