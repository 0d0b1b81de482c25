"""Runs as callers see them: those in the queue and those that have ended, always read in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Recorded
from ordinaut.names import occurrence_id
from ordinaut.store.due_work_claim import ClaimedRun
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
    "scheduled_time": Field("scheduled_time", Kind.TIME),
    "create_time": Field("create_time", Kind.TIME),
    "start_time": Field("start_time", Kind.TIME),
    "end_time": Field("end_time", Kind.TIME),
}
ID = Field("id", Kind.ID, sort="id")  # its order is that of create_time


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run; `state` is a value of `Run.State`; `labels`, `params`, `event`, `output`, `error`, `steps` are JSON texts.

    `steps` is an array of `{path, attempt, state, tool, input, output, error, start_time, end_time}`, or None when
    there are none or they were not asked for. `waits` is one of `{step, kind, topic, deadline, create_time, approval,
    run}`, or None.
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
    retry_of: UUID | None
    retries: Sequence[UUID] | None
    backfill: str | None
    parent: UUID | None
    waits: str | None
    steps: str | None


def described(run: RunRecord | ClaimedRun) -> bytes:
    """The variable `run` of a pipeline, as JSON."""
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
    """The place of a step in the order of its run's steps; the default comes before the first one."""

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
    """Those of the runs that exist, in no order; `payloads`: with the inputs and outputs of the steps."""
    rows = await SQL.get.rows(connection, ids=list(ids), steps=steps, payloads=payloads)
    return [RunRecord(**row) for row in rows]


async def get(connection: Connection, run: UUID, *, steps: bool) -> RunRecord | None:
    """One run, live or ended."""
    found = await get_many(connection, [run], steps=steps)
    return found[0] if found else None


async def steps_page(
    connection: Connection, run: UUID, *, after: StepKey, payloads: bool, size: int
) -> list[StepRecord]:
    """At most `size` steps of a run behind a key; `payloads`: with their inputs and outputs."""
    rows = await SQL.steps.rows(
        connection, run=run, seq=after.seq, path=after.path, attempt=after.attempt, payloads=payloads, size=size
    )
    return [StepRecord(StepKey(row["seq"], row["path"], row["attempt"]), row["step"]) for row in rows]


async def recorded(connection: Connection, run: UUID) -> list[Recorded]:
    """Every attempt of a run as it was journaled, in order, with what `now` was."""
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
    """A text for each run that exists, which differs whenever something about the run has changed."""
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
    """At most `size` runs that `selection` (over FIELDS) picks, without steps; None stands for any."""
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


async def live_at(connection: Connection, task: UUID, moment: datetime) -> UUID | None:
    """A run of the task that was live at a moment, if one is known."""
    found: UUID | None = await SQL.live_at.value(connection, task=task, moment=moment)
    return found


async def durations(connection: Connection, task: UUID, count: int) -> list[timedelta]:
    """How long the newest `count` runs of a task took that were not cancelled, the oldest first."""
    return [row["took"] for row in await SQL.durations.rows(connection, task=task, count=count)]
