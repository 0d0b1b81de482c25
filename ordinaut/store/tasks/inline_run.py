"""Runs without a task. Their documents are stored as versions of a hidden task, one for each agent.

Therefore such a run pins its version like every other run, a document that runs often is stored once, and the live runs
of an agent can be counted.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from uuid import UUID, uuid5

from ordinaut.store.sql import Connection, Queries
from ordinaut.store.tasks.task import Definition

SQL = Queries(__file__)
HOLDERS = UUID("0199a0f4-6f0e-7d53-9a52-3b7c1f1de5a1")  # the namespace of the uids of hidden tasks


def holder_of(project: str, owner: str) -> UUID:
    """Returns the uid of the hidden task with the documents of `owner`."""
    return uuid5(HOLDERS, f"{project}/{owner}")


async def live(connection: Connection, *, project: str, owner: str, count_to: int) -> int:
    """Returns the number of live inline runs of `owner`, counted up to `count_to`."""
    return int(await SQL.live.value(connection, holder=holder_of(project, owner), count_to=count_to))


async def room(connection: Connection, *, project: str, owner: str, count_to: int) -> tuple[int, bool]:
    """Returns what `live` does, and whether the quota of the owner or its project permits no more live runs."""
    holder = holder_of(project, owner)
    row = await SQL.room.row(connection, holder=holder, project=project, owner=owner, count_to=count_to)
    return row["live"], row["over_quota"]


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
    """Enqueues a run of `definition`, ignoring its params and schedule; to be called in a transaction."""
    holder, version = await store_version(connection, project=project, owner=owner, definition=definition)
    await SQL.enqueue.value(
        connection, holder=holder, version=version, run=run, params=params_json, start_time=start_time
    )


async def store_version(
    connection: Connection, *, project: str, owner: str, definition: Definition
) -> tuple[UUID, int]:
    """Stores a document as a version of the hidden task of `owner`; returns the uid of the task and the version."""
    holder, version = holder_of(project, owner), _version(definition)
    await SQL.create_holder.run(connection, holder=holder, project=project, owner=owner)
    await SQL.create_version.run(
        connection,
        holder=holder,
        version=version,
        pipeline=definition.pipeline,
        semantics=definition.semantics,
        tools=definition.tools,
        scopes=definition.scopes,
        schedule=definition.schedule,
        run_policy=definition.run_policy,
        priority=definition.priority,
        max_losses=definition.max_losses,
        run_timeout=definition.run_timeout,
        start_deadline=definition.start_deadline,
    )
    return holder, version


def _version(definition: Definition) -> int:
    """Returns 63 bits of the document's hash: equal documents have equal versions."""
    content = asdict(definition) | {"params": None}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
