"""Questions that runs wait on, and their answers. Who changes one has locked the run's row first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
REJECT = "reject"
"""The choice that rejects; every other one approves."""
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

    `tool` is empty when no call is guarded; `choice` and `agent` are None until it is answered.
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
    """New waits that ask for approval, as columns: run, path, the guarded tool and the hash of what it gets."""

    runs: list[UUID] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def add(self, run: UUID, wait: Any) -> None:
        """Appends one `Wait` of the engine of kind APPROVAL."""
        self.runs.append(run)
        self.steps.append(wait.path)
        self.tools.append(wait.guarded_tool)
        self.hashes.append(wait.subject_hash)


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody answers: a choice, and JSON texts where there is more to say."""

    agent: str
    choice: str
    input: str | None = None
    edited_input: str | None = None
    comment: str = ""


async def request(connection: Connection, questions: Questions) -> None:
    """Stores what waits of locked runs ask, as their inputs say, and announces it; the waits are there already."""
    if questions.runs:
        await SQL.request.run(
            connection,
            runs=questions.runs,
            steps=questions.steps,
            tools=questions.tools,
            hashes=questions.hashes,
        )


async def answer(connection: Connection, approval: UUID, reply: Reply) -> Any:
    """Answers an approval of a locked run, and announces it.

    Returns:
        Its run, step, state and end_time; None when it was not pending any more, or its time is over.
    """
    return await SQL.answer.row(
        connection,
        id=approval,
        agent=reply.agent,
        choice=reply.choice,
        input=reply.input,
        edited_input=reply.edited_input,
        comment=reply.comment,
    )


async def expire(connection: Connection, waits: Sequence[tuple[UUID, str]]) -> None:
    """Ends the questions of waits (run, path) that are over without an answer, and announces it."""
    if waits:
        runs, steps = (list(column) for column in zip(*waits, strict=True))
        await SQL.expire.run(connection, runs=runs, steps=steps)


async def get(connection: Connection, approval: UUID, *, project: str, agent: str | None) -> ApprovalRecord | None:
    """One approval, when `agent` owns its run or is asked; None sees everything in the project."""
    row = await SQL.get.row(connection, id=approval, project=project, agent=agent)
    return ApprovalRecord(**row) if row else None


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
    """At most `size` approvals that `selection` (over FIELDS) picks and `agent` may see; None stands for any."""
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
