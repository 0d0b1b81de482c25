"""Runs without a task. Their documents are versions of a task that nobody sees, one for each agent.

So a run pins what it executes as every run does, a document that runs often is stored once, and the live runs of an
agent can be counted.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from uuid import UUID, uuid5

from ordinaut.store.sql import Connection, Queries
from ordinaut.store.task import Definition

SQL = Queries(__file__)
HOLDERS = UUID("0199a0f4-6f0e-7d53-9a52-3b7c1f1de5a1")  # the namespace of the holders' uids


def holder_of(project: str, owner: str) -> UUID:
    """The uid of the task that holds `owner`'s inline documents."""
    return uuid5(HOLDERS, f"{project}/{owner}")


async def live(connection: Connection, *, project: str, owner: str, count_to: int) -> int:
    """How many inline runs of `owner` are live, counted up to `count_to`."""
    return int(await SQL.live.value(connection, holder=holder_of(project, owner), count_to=count_to))


async def enqueue(
    connection: Connection,
    *,
    project: str,
    owner: str,
    run: UUID,
    definition: Definition,
    params_json: str,
    start_time: datetime | None,
) -> None:
    """Queues a run of `definition`, whose params and schedule are not looked at; inside a transaction."""
    holder, version = await keep(connection, project=project, owner=owner, definition=definition)
    await SQL.enqueue.value(
        connection, holder=holder, version=version, run=run, params=params_json, start_time=start_time
    )


async def keep(connection: Connection, *, project: str, owner: str, definition: Definition) -> tuple[UUID, int]:
    """Stores a document among those that `owner` runs without a task; the holder's uid and the document's version."""
    holder, version = holder_of(project, owner), _version(definition)
    await SQL.create_holder.run(connection, holder=holder, project=project, owner=owner)
    await SQL.create_version.run(
        connection,
        holder=holder,
        version=version,
        pipeline=definition.pipeline,
        tools=definition.tools,
        schedule=definition.schedule,
        run_policy=definition.run_policy,
        priority=definition.priority,
        max_losses=definition.max_losses,
        run_timeout=definition.run_timeout,
        start_deadline=definition.start_deadline,
    )
    return holder, version


def _version(definition: Definition) -> int:
    """Equal documents have equal versions: 63 bits of what they hash to."""
    content = asdict(definition) | {"params": None}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
