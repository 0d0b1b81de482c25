"""Runs as the API shows them: live and ended ones, always read in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Recorded
from ordinaut.names import occurrence_id
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
TERMINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
STATES = frozenset({"QUEUED", "RUNNING", "WAITING"}) | TERMINAL
KINDS = frozenset({"SCHEDULED", "EVENT", "MANUAL", "BACKFILL", "CHILD", "INLINE", "RETRY"})
FIELDS = {
    "task": Field("'tasks/' || task_name"),
    "owner": Field("owner"),
    "task_uid": Field("CASE WHEN task_name <> '' THEN task::text END"),
    "labels": Field("labels", Kind.MAP),
    "state": Field("state", choices=STATES),
    "kind": Field("kind", choices=KINDS),
    "trigger": Field("trigger"),
    "backfill": Field("backfill_of(id)"),
    "claims": Field("claims", Kind.NUMBER),
    "losses": Field("losses", Kind.NUMBER),
    "error.code": Field("error ->> 'code'"),
    "cancel_reason": Field("cancel_reason"),
    "parent": Field("id", Kind.ID, members="SELECT c.run FROM run_child AS c WHERE c.parent"),
    "retry_of": Field("id", Kind.ID, members="SELECT x.run FROM run_retry AS x WHERE x.retry_of"),
    "scheduled_time": Field("scheduled_time", Kind.TIME),
    "create_time": Field("create_time", Kind.TIME),
    "start_time": Field("start_time", Kind.TIME),
    "end_time": Field("end_time", Kind.TIME),
}
ID = Field("id", Kind.ID, sort="id")  # its order is that of create_time


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run; `state` is a value of `Run.State`; `labels`, `params`, `event`, `output`, `error`, `steps` are JSON texts.

    `steps` is an array of `{path, attempt, state, tool, input, output, error, start_time, end_time}`; None if the run
    has no steps or they were not requested. `waits` is an array of `{step, kind, topic, deadline, create_time,
    approval, run}` or None.
    """

    id: UUID
    project: str
    task: UUID
    task_name: str
    task_version: int
    owner: str
    labels: str
    kind: str
    trigger: str
    occurrence: str
    root: str
    params: str
    event: str | None
    scheduled_time: datetime | None
    interval_end: datetime | None
    state: str
    output: str | None
    error: str | None
    claims: int
    losses: int
    cancel_reason: str
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    retry_of: UUID | None = None
    retries: Sequence[UUID] | None = None
    backfill: str | None = None
    parent: UUID | None = None
    waits: str | None = None
    steps: str | None = None


def described(run: RunRecord | ClaimedRun) -> bytes:
    """Returns the JSON of the variable `run` of a pipeline."""
    scheduled, end = run.scheduled_time, run.interval_end
    facts = {
        "name": f"runs/{run.id}",
        "task": f"tasks/{run.task_name}" if run.task_name else "",
        "kind": run.kind,
        "trigger": run.trigger,
        "occurrence": occurrence_id(run.occurrence, scheduled),
        "scheduled_time": scheduled,
        "interval": {"start": scheduled, "end": end} if scheduled else None,
        "claims": run.claims,
    }
    return orjson.dumps(facts, option=orjson.OPT_UTC_Z)


@dataclass(frozen=True, slots=True)
class StepKey:
    """The sort key of a step among the steps of its run; the default precedes every step."""

    seq: int = -1
    path: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step of a run: `step` is JSON, as in `RunRecord.steps`."""

    key: StepKey
    step: str


async def get_many(
    connection: Connection, ids: Sequence[UUID], *, steps: bool, payloads: bool = True
) -> list[RunRecord]:
    """Returns those of the runs that exist, unordered; `payloads`: with the inputs and outputs of the steps."""
    rows = await SQL.get.rows(connection, ids=list(ids), steps=steps, payloads=payloads)
    return [RunRecord(**row) for row in rows]


async def get(connection: Connection, run: UUID, *, steps: bool) -> RunRecord | None:
    """Returns a run, live or ended, or None."""
    records = await get_many(connection, [run], steps=steps)
    return records[0] if records else None


async def steps_page(
    connection: Connection, run: UUID, *, after: StepKey, payloads: bool, size: int
) -> list[StepRecord]:
    """Returns at most `size` steps of a run after a key; `payloads`: with their inputs and outputs."""
    rows = await SQL.steps.rows(
        connection, run=run, seq=after.seq, path=after.path, attempt=after.attempt, payloads=payloads, size=size
    )
    return [StepRecord(StepKey(row["seq"], row["path"], row["attempt"]), row["step"]) for row in rows]


async def recorded(connection: Connection, run: UUID) -> list[Recorded]:
    """Returns every journaled attempt of a run, in order, with the value of `now` that it saw."""
    return [_recorded(row) for row in await SQL.recorded.rows(connection, run=run)]


def _recorded(row: Record) -> Recorded:
    entry = JournalEntry(
        path=row["path"],
        attempt=row["attempt"],
        state=row["state"],
        tool=row["tool"],
        input=(row["input"] or "").encode(),
        output=(row["output"] or "").encode(),
        error=(row["error"] or "").encode(),
        start_us=row["start_us"],
        end_us=row["end_us"],
    )
    return Recorded(entry=entry, now_us=row["now_us"])


async def marks(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Returns for each run that exists a text that changes with every change of the run or of its steps."""
    return {row["id"]: row["mark"] for row in await SQL.marks.rows(connection, ids=list(ids))}


async def list_page(
    connection: Connection,
    *,
    project: str,
    owner: str | None,
    task: UUID | None,
    states: Sequence[str] | None,
    selection: Selection,
    size: int,
) -> list[RunRecord]:
    """Returns at most `size` runs that match `selection` (over FIELDS), without steps; None matches all."""
    rows = await SQL.list.page(
        connection,
        selection,
        project=project,
        owner=owner,
        task=task,
        states=None if states is None else list(states),
        size=size,
    )
    return [RunRecord(**row) for row in rows]


async def live_at(connection: Connection, task: UUID, time: datetime) -> UUID | None:
    """Returns the oldest run of the task that was live at a time, or None."""
    run: UUID | None = await SQL.live_at.value(connection, task=task, time=time)
    return run


async def durations(connection: Connection, task: UUID, count: int) -> list[timedelta]:
    """Returns the durations of the newest `count` runs of a task that were not cancelled, oldest first."""
    return [row["took"] for row in await SQL.durations.rows(connection, task=task, count=count)]
