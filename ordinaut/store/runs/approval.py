"""Approvals that runs wait for. A transaction that changes an approval locks the row of its run first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
REJECT = "reject"
"""The choice that rejects; every other choice approves."""
STATES = frozenset({"PENDING", "APPROVED", "REJECTED", "EXPIRED", "CANCELLED"})
FIELDS = {
    "task": Field("'tasks/' || task_name"),
    "step": Field("step"),
    "owner": Field("owner"),
    "state": Field("state", choices=STATES),
    "tool": Field("tool"),
    "assignees": Field("assignees", Kind.LIST),
    "message": Field("message"),
    "create_time": Field("create_time", Kind.TIME),
    "expire_time": Field("expire_time", Kind.TIME),
}
ID = Field("id", Kind.ID, sort="id")  # its order is that of create_time


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """An approval; `data`, `answer_schema`, `input` and `edited_input` are JSON texts.

    `tool` is empty if the approval guards no tool call; `choice` and `agent` are None until it is answered.
    """

    id: UUID
    project: str
    run: UUID
    step: str
    task_name: str
    owner: str
    tool: str
    hash: str
    message: str
    data: str | None
    choices: list[str]
    answer_schema: str | None
    editable: list[str]
    assignees: list[str]
    allow_self: bool
    expire_time: datetime | None
    state: str
    choice: str | None
    input: str | None
    edited_input: str | None
    agent: str | None
    comment: str
    create_time: datetime
    end_time: datetime | None


@dataclass(slots=True)
class Questions:
    """New waits of kind APPROVAL as columns: run, path, the guarded tool and the hash of its input."""

    runs: list[UUID] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def add(self, run: UUID, wait: Any) -> None:
        """Appends a `Wait` of the engine of kind APPROVAL."""
        self.runs.append(run)
        self.steps.append(wait.path)
        self.tools.append(wait.guarded_tool)
        self.hashes.append(wait.subject_hash)


@dataclass(frozen=True, slots=True)
class Requesters:
    """The owners (`agents/…`) of a run and of those it is a child of; the creation time of the first, None if gone."""

    owners: frozenset[str]
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an approval; `input` and `edited_input` are JSON texts."""

    agent: str
    choice: str
    input: str | None = None
    edited_input: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class AnsweredApproval:
    """An approval that has just been answered."""

    run: UUID
    step: str
    state: str
    end_time: datetime


async def request(connection: Connection, questions: Questions) -> None:
    """Stores the approvals that stored waits of locked runs ask for, and publishes events."""
    if questions.runs:
        await SQL.request.run(
            connection,
            runs=questions.runs,
            steps=questions.steps,
            tools=questions.tools,
            hashes=questions.hashes,
        )


async def answer(connection: Connection, approval: UUID, reply: Reply) -> AnsweredApproval | None:
    """Answers an approval of a locked run and publishes an event; None if it is no longer pending or has expired."""
    row = await SQL.answer.row(
        connection,
        id=approval,
        agent=reply.agent,
        choice=reply.choice,
        input=reply.input,
        edited_input=reply.edited_input,
        comment=reply.comment,
    )
    return AnsweredApproval(**row) if row else None


async def expire(connection: Connection, waits: Sequence[tuple[UUID, str]]) -> None:
    """Expires the approvals of waits (run, path) that have ended without an answer, and publishes events."""
    if waits:
        runs, steps = (list(column) for column in zip(*waits, strict=True))
        await SQL.expire.run(connection, runs=runs, steps=steps)


async def get(connection: Connection, approval: UUID, *, project: str, agent: str | None) -> ApprovalRecord | None:
    """Returns an approval if `agent` owns its run or is an assignee; `agent` None matches every approval."""
    row = await SQL.get.row(connection, id=approval, project=project, agent=agent)
    return ApprovalRecord(**row) if row else None


async def requesters(connection: Connection, run: UUID) -> Requesters:
    """Returns who asks for the approvals of a run."""
    row = await SQL.requesters.row(connection, run=run)
    return Requesters(frozenset(row["owners"] or ()), row["since"])


async def list_page(
    connection: Connection,
    *,
    project: str,
    agent: str | None,
    run: UUID | None,
    assignee: str | None,
    states: Sequence[str] | None,
    selection: Selection,
    size: int,
) -> list[ApprovalRecord]:
    """Returns at most `size` approvals that match `selection` (over FIELDS) and `agent` may see; None matches all."""
    rows = await SQL.list.page(
        connection,
        selection,
        project=project,
        agent=agent,
        run=run,
        assignee=assignee,
        states=None if states is None else list(states),
        size=size,
    )
    return [ApprovalRecord(**row) for row in rows]
