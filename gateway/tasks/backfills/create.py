"""CreateBackfill: checked without a transaction, begun if the task has not changed meanwhile; or only a dry run."""

from dataclasses import dataclass
from datetime import datetime

import orjson

from gateway.api.caller import Caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import moment_of, parse, timestamp, to_json, to_python
from gateway.api.violations import Problems, reroot
from gateway.clients import Engines, Scheduler
from gateway.tasks.backfills.conversion import to_backfill
from gateway.tasks.backfills.due_times import DueMoments, due_moments, wanted
from gateway.tasks.conversion import to_task
from ordinaut.errors import AbortedError, AlreadyExistsError, NotFoundError, ResourceExhaustedError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest
from ordinaut.limits import FIRST_YEAR
from ordinaut.names import RESOURCE_ID
from ordinaut.store import backfill, database_clock, task
from ordinaut.store.backfill import BackfillRecord, NewBackfill
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_service_pb2 import CreateBackfillRequest

DEFAULT_PARALLELISM, MAX_PARALLELISM = 4, 1_000
DEFAULT_PRIORITY = 9
RUNNING_MAX = 10
RUNNING_RETRY_SECONDS = 60.0
PARAMS_MAX_BYTES = 64 * 1024  # each of the runs gets a copy
FIRST_MAX = 100


@dataclass(frozen=True, slots=True)
class _Asked:
    """A backfill that may be begun, and the task as it was when that was checked."""

    task: TaskRecord
    due: DueMoments
    wish: NewBackfill


class BackfillCreate:
    """CreateBackfill."""

    def __init__(self, database: Database, hints: Hints, scheduler: Scheduler, engines: Engines) -> None:
        self._database = database
        self._hints = hints
        self._scheduler = scheduler
        self._engines = engines

    async def create(self, request: CreateBackfillRequest, caller: Caller, name: str) -> Backfill:
        """Begins a backfill of the task's present version, or tells what it would run.

        Raises:
            InvalidArgumentError: with every problem; no moment, or too many, lie in the range.
            AlreadyExistsError: the id is taken.
            ResourceExhaustedError: LIMIT_REACHED: ten of the task are under way.
            AbortedError: ETAG_MISMATCH: the task has changed meanwhile.
            UnavailableError: SCHEDULER_UNAVAILABLE, ENGINE_UNAVAILABLE.
        """
        if request.validate_only:
            return await self._dry_run(await self._asked(request, caller, name))
        mutation = Mutation(self._database, request, Backfill)
        if (answer := await mutation.earlier()) is not None:
            return answer
        asked = await self._asked(request, caller, name)

        async def work(connection: Connection) -> Backfill:
            locked = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if locked is None:
                raise NotFoundError.of(request.parent)
            if (locked.uid, locked.version) != (asked.task.uid, asked.task.version):
                raise AbortedError(ErrorReason.ETAG_MISMATCH, f"{request.parent} has changed meanwhile; ask again")
            return to_backfill(await _begin(connection, locked, asked.wish))

        answer = await mutation.once(work)
        self._hints.send(BACKFILL)
        return answer

    async def _asked(self, request: CreateBackfillRequest, caller: Caller, name: str) -> _Asked:
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(request.parent)
        problems = Problems()
        _check(problems, request)
        after, until = _range(problems, request.backfill, now)
        await self._check_params(problems, record, request.backfill)
        problems.check()
        due = await due_moments(self._scheduler, to_task(record).schedule, after, until, problems)
        problems.check()
        return _Asked(record, due, _wish(request, after, until, len(due.instants)))

    async def _check_params(self, problems: Problems, record: TaskRecord, asked: Backfill) -> None:
        params = to_json(asked.params)
        if len(params) > PARAMS_MAX_BYTES:
            message = f"may take {PARAMS_MAX_BYTES} bytes, not {len(params)}"
            problems.add("backfill.params", message, ErrorReason.TOO_LARGE)
        elif record.params_schema is not None and asked.params.fields:
            merged = orjson.dumps(parse(record.params) | to_python(asked.params))
            question = ValidateValueRequest(schema=record.params_schema.encode(), value=merged)
            problems.extend(reroot((await self._engines.validate_value(question)).violations, "backfill.params"))

    async def _dry_run(self, asked: _Asked) -> Backfill:
        wish = asked.wish
        async with self._database.connection() as connection:
            chosen = await wanted(connection, asked.task.uid, wish.reprocess, asked.due)
        first = chosen[: -FIRST_MAX - 1 : -1] if wish.newest_first else chosen[:FIRST_MAX]
        return Backfill(
            name=f"tasks/{asked.task.name}/backfills/{wish.id}" if wish.id else "",
            after_time=timestamp(wish.after_time),
            until_time=timestamp(wish.until_time),
            order=Backfill.NEWEST_FIRST if wish.newest_first else Backfill.OLDEST_FIRST,
            reprocess=Backfill.Reprocess.Value(wish.reprocess),
            parallelism=wish.parallelism,
            priority=wish.priority,
            task_version=asked.task.version,
            total=wish.total,
            enqueued=len(chosen),
            skipped=wish.total - len(chosen),
            first_due_times=map(timestamp, first),
        )


async def _begin(connection: Connection, locked: TaskRecord, wish: NewBackfill) -> BackfillRecord:
    running = await backfill.running(connection, locked.uid)
    if running >= RUNNING_MAX:
        raise ResourceExhaustedError(
            ErrorReason.LIMIT_REACHED,
            f"tasks/{locked.name} has {running} backfills under way",
            {"resource": f"tasks/{locked.name}", "limit": str(RUNNING_MAX)},
            retry_after=RUNNING_RETRY_SECONDS,
        )
    begun = await backfill.create(connection, locked.uid, wish)
    if begun is None:
        name = f"tasks/{locked.name}/backfills/{wish.id}"
        raise AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"{name} exists", {"resource": name})
    return begun


def _check(problems: Problems, request: CreateBackfillRequest) -> None:
    asked = request.backfill
    problems.not_writable("backfill", asked)
    if asked.name and asked.name != f"{request.parent}/backfills/{request.backfill_id}":
        problems.add("backfill.name", "must be what backfill_id says, or left out", ErrorReason.NAME_INVALID)
    if request.backfill_id:
        problems.identifier("backfill_id", request.backfill_id, RESOURCE_ID, RESOURCE_ID.pattern)
    problems.between("backfill.parallelism", asked.parallelism, 0, MAX_PARALLELISM)
    problems.between("backfill.priority", asked.priority, 0, 9)


def _range(problems: Problems, asked: Backfill, now: datetime) -> tuple[datetime, datetime]:
    after = moment_of(asked.after_time)
    until = moment_of(asked.until_time) if asked.HasField("until_time") else now
    if not asked.HasField("after_time"):
        problems.add("backfill.after_time", "is needed: the backfill begins behind it", ErrorReason.FIELD_REQUIRED)
    elif after.year < FIRST_YEAR:
        problems.add("backfill.after_time", f"must be in the year {FIRST_YEAR} or later")
    if until > now:
        problems.add("backfill.until_time", "must not be in the future: what is to come is the schedule's")
    elif after >= until:
        problems.add("backfill.until_time", "must be after after_time, and after_time in the past")
    return after, until


def _wish(request: CreateBackfillRequest, after: datetime, until: datetime, total: int) -> NewBackfill:
    asked = request.backfill
    return NewBackfill(
        id=request.backfill_id or None,
        after_time=after,
        until_time=until,
        newest_first=asked.order == Backfill.NEWEST_FIRST,
        reprocess=Backfill.Reprocess.Name(asked.reprocess or Backfill.NONE),
        parallelism=asked.parallelism or DEFAULT_PARALLELISM,
        priority=asked.priority or DEFAULT_PRIORITY,
        params=to_json(asked.params),
        total=total,
    )
