"""Definitions that runs execute: a version of a task with the current tools, and its rights.

The rights are those of the token that saved the version, as far as the owner still has them, and as far as the run's
limit allows them.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition
from ordinaut.names import USE_SECRET, granted, intersection, secret_names
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class RunDefinition:
    """A definition as engines receive it, and the scopes of its runs.

    `has_finally`: it has steps that also run after a cancellation. `limited`: a run of it may have a limit.
    """

    message: Definition
    scopes: frozenset[str]
    has_finally: bool = False
    limited: bool = False


async def load(
    connection: Connection,
    *,
    project: str,
    owner: str,
    task: UUID,
    version: int,
    limit: frozenset[str] | None = None,
) -> RunDefinition:
    """One version of a task in the form that engines receive; `limit` is that of the run."""
    row = await SQL.load.row(connection, project=project, owner=owner, task=task, version=version)
    scopes = intersection(frozenset(row["saved_scopes"]), frozenset(row["owner_scopes"]))
    if limit is not None:
        scopes = intersection(scopes, limit)
    message = Definition(
        pipeline=row["pipeline"].encode(),
        semantics=row["semantics"],
        tools=[tool.encode() for tool in row["tools"]],
        denied_tools=[name for name in row["tool_names"] if not _may_call(scopes, name)],
        retry=(row["retry"] or "").encode(),
        project=project,
        deadline_ms=row["deadline_ms"],
        revoked_tools=[name for name in map(_revoked, row["senders"]) if name],
        secrets=[name for name in secret_names(row["pipeline"]) if granted(scopes, USE_SECRET, name)],
    )
    message.hash = hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()
    return RunDefinition(message, scopes, row["has_finally"], row["limited"])


async def run_timeout(connection: Connection, task: UUID, version: int) -> timedelta:
    """The run timeout of a version."""
    timeout: timedelta = await SQL.run_timeout.value(connection, task=task, version=version)
    return timeout


def _revoked(sender: str) -> str:
    """The name of a tool that sends a secret, if its owner may not use that secret any more; else empty."""
    tool, scopes = orjson.loads(sender)
    [options] = tool["http"]["auth"].values()
    return "" if granted(frozenset(scopes), USE_SECRET, options["secret"]) else str(tool["name"])


def _may_call(scopes: frozenset[str], tool: str) -> bool:
    return tool.startswith("orchestrator.") or granted(scopes, "tools:call", tool)
