"""CreateBackfill: the request is validated without a transaction and stored if the task is still the same.

With `validate_only` nothing is stored and the response lists the first instants.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from gateway.api.errors import already_exists, changed_concurrently
from gateway.api.idempotency import Mutation
from gateway.api.json_values import timestamp, to_datetime, to_json
from gateway.api.violations import Problems, at_most, got, reroot
from gateway.authentication.caller import Caller
from gateway.clients import EngineClient, SchedulerClient
from gateway.definitions.owner_priority import require_priority
from gateway.definitions.params import merge_params
from gateway.runs.starter_rights import require_starter_rights
from gateway.tasks.backfills.conversion import to_backfill
from gateway.tasks.backfills.due_times import DueTimes, due_times, selected_instants
from gateway.tasks.conversion import to_task
from ordinaut.errors import NotFoundError, ResourceExhaustedError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest
from ordinaut.limits import FIRST_YEAR
from ordinaut.names import RESOURCE_ID
from ordinaut.store import database_clock
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill, task
from ordinaut.store.tasks.backfill import BackfillRecord, NewBackfill
from ordinaut.store.tasks.task import TaskRecord
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import RunPolicy
from ordinaut.v1.task_service_pb2 import CreateBackfillRequest

DEFAULT_PARALLELISM, MAX_PARALLELISM = 4, 1_000
DEFAULT_PRIORITY = 9
RUNNING_MAX = 10
RUNNING_RETRY_SECONDS = 60.0
PARAMS_MAX_BYTES = 64 * 1024  # every run stores a copy
FIRST_MAX = 100
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class _ValidBackfill:
    """A valid backfill, and the task that it was validated with."""

    task: TaskRecord
    due: DueTimes
    new: NewBackfill


class BackfillCreate:
    """Implements CreateBackfill."""

    def __init__(self, database: Database, hints: Hints, scheduler: SchedulerClient, engines: EngineClient) -> None:
        self._database = database
        self._hints = hints
        self._scheduler = scheduler
        self._engines = engines

    async def create(self, request: CreateBackfillRequest, caller: Caller, name: str) -> Backfill:
        """Creates a backfill of the task's current version, or returns what it would run.

        Raises:
            InvalidArgumentError: with all violations; the range contains too many instants, or zero.
            AlreadyExistsError: the id is taken.
            ResourceExhaustedError: LIMIT_REACHED: the task has ten running backfills.
            PermissionDeniedError: MISSING_SCOPE: the token limits the runs and lacks what a step needs.
            AbortedError: ETAG_MISMATCH: the task was changed concurrently.
            UnavailableError: SCHEDULER_UNAVAILABLE, ENGINE_UNAVAILABLE.
        """
        if request.validate_only:
            return await self._dry_run(await self._validated(request, caller, name))
        mutation = Mutation(self._database, request, Backfill)
        if (response := await mutation.stored_response()) is not None:
            return response
        valid = await self._validated(request, caller, name)

        async def work(connection: Connection) -> Backfill:
            locked = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if locked is None:
                raise NotFoundError.of(request.parent)
            await require_starter_rights(connection, caller, locked.uid, locked.version)
            if (locked.uid, locked.version) != (valid.task.uid, valid.task.version):
                raise changed_concurrently(request.parent)
            return to_backfill(await _insert(connection, locked, valid.new))

        response = await mutation.execute(work)
        self._hints.send(BACKFILL)
        return response

    async def _validated(self, request: CreateBackfillRequest, caller: Caller, name: str) -> _ValidBackfill:
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is not None:
                await require_priority(
                    connection, caller.project, record.owner, request.backfill.priority or DEFAULT_PRIORITY
                )
        if record is None:
            raise NotFoundError.of(request.parent)
        problems = Problems()
        _check(problems, request)
        after, until = _range(problems, request.backfill, now)
        await self._check_params(problems, record, request.backfill)
        problems.check()
        due = await due_times(self._scheduler, to_task(record).schedule, after, until, problems)
        problems.check()
        new = _new_backfill(request, after, until, len(due.instants))
        if to_task(record).run_policy.rights == RunPolicy.LIMITED_BY_STARTER:
            new = replace(new, starter_scopes=sorted(caller.scopes))
        return _ValidBackfill(record, due, new)

    async def _check_params(self, problems: Problems, record: TaskRecord, message: Backfill) -> None:
        size = len(to_json(message.params))
        if size > PARAMS_MAX_BYTES:
            problems.add("backfill.params", at_most(PARAMS_MAX_BYTES, "bytes of JSON", size), ErrorReason.TOO_LARGE)
        elif record.params_schema is not None and message.params.fields:
            merged = merge_params(record.params, message.params).encode()
            request = ValidateValueRequest(schema=record.params_schema.encode(), value=merged)
            problems.extend(reroot((await self._engines.validate_value(request)).violations, "backfill.params"))

    async def _dry_run(self, valid: _ValidBackfill) -> Backfill:
        new = valid.new
        async with self._database.connection() as connection:
            selected = await selected_instants(connection, valid.task.uid, new.reprocess, valid.due)
        first = selected[: -FIRST_MAX - 1 : -1] if new.newest_first else selected[:FIRST_MAX]
        return Backfill(
            name=f"tasks/{valid.task.name}/backfills/{new.id}" if new.id else "",
            after_time=timestamp(new.after_time),
            until_time=timestamp(new.until_time),
            order=Backfill.NEWEST_FIRST if new.newest_first else Backfill.OLDEST_FIRST,
            reprocess=Backfill.Reprocess.Value(new.reprocess),
            parallelism=new.parallelism,
            priority=new.priority,
            task_version=valid.task.version,
            total=new.total,
            enqueued=len(selected),
            skipped=new.total - len(selected),
            first_due_times=map(timestamp, first),
        )


async def _insert(connection: Connection, locked: TaskRecord, new: NewBackfill) -> BackfillRecord:
    running = await backfill.running(connection, locked.uid)
    if running >= RUNNING_MAX:
        raise ResourceExhaustedError(
            ErrorReason.LIMIT_REACHED,
            f"tasks/{locked.name} must have fewer than {RUNNING_MAX} running backfills (has {running}); retry later",
            {"resource": f"tasks/{locked.name}", "limit": str(RUNNING_MAX)},
            retry_after=RUNNING_RETRY_SECONDS,
        )
    record = await backfill.create(connection, locked.uid, new)
    if record is None:
        raise already_exists(f"tasks/{locked.name}/backfills/{new.id}")
    return record


def _check(problems: Problems, request: CreateBackfillRequest) -> None:
    message, name = request.backfill, f"{request.parent}/backfills/{request.backfill_id}"
    problems.not_writable("backfill", message)
    if message.name and message.name != name:
        problems.add("backfill.name", f"must be {name} or omitted {got(message.name)}", ErrorReason.NAME_INVALID)
    if request.backfill_id:
        problems.identifier("backfill_id", request.backfill_id, RESOURCE_ID)
    problems.between("backfill.parallelism", message.parallelism, 0, MAX_PARALLELISM)
    problems.between("backfill.priority", message.priority, 0, 9)


def _range(problems: Problems, message: Backfill, now: datetime) -> tuple[datetime, datetime]:
    after = to_datetime(message.after_time)
    until = to_datetime(message.until_time) if message.HasField("until_time") else now
    if not message.HasField("after_time"):
        text = "is required: the backfill runs instants after it"
        problems.add("backfill.after_time", text, ErrorReason.FIELD_REQUIRED)
    elif after.year < FIRST_YEAR:
        problems.add("backfill.after_time", f"must be in the year {FIRST_YEAR} or later (got {after.year})")
    if until > now:
        problems.add("backfill.until_time", f"must not be after the current time {now:{TIME}} (got {until:{TIME}})")
    elif after >= until:
        problems.add("backfill.until_time", f"must be after after_time {after:{TIME}} (got {until:{TIME}})")
    return after, until


def _new_backfill(request: CreateBackfillRequest, after: datetime, until: datetime, total: int) -> NewBackfill:
    message = request.backfill
    return NewBackfill(
        id=request.backfill_id or None,
        after_time=after,
        until_time=until,
        newest_first=message.order == Backfill.NEWEST_FIRST,
        reprocess=Backfill.Reprocess.Name(message.reprocess or Backfill.NONE),
        parallelism=message.parallelism or DEFAULT_PARALLELISM,
        priority=message.priority or DEFAULT_PRIORITY,
        params=to_json(message.params),
        total=total,
    )
