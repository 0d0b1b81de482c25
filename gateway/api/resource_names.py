"""Parses resource names and topic patterns that callers send; creates ids."""

import re
import secrets
import time
from collections.abc import Callable
from uuid import UUID

from gateway.api.violations import got
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.names import (
    DOTTED,
    RESOURCE_ID,
    STATE_KEY,
    STATE_KEY_MAX,
    STATE_NAMESPACE,
    TopicPatternError,
    split_name,
    topic_matcher,
)
from ordinaut.token_text import PUBLIC_ID
from ordinaut.v1.error_pb2 import ErrorReason

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TASK_ID = re.compile(f"{RESOURCE_ID.pattern}|{UUID_TEXT.pattern}")  # a task without a chosen id is named by its uid


def task_id(name: str, field: str = "name") -> str:
    """Returns the id in `tasks/{task}`.

    >>> task_id("tasks/briefing")
    'briefing'

    Raises:
        InvalidArgumentError: NAME_INVALID, naming the form.
    """
    return _id(name, "tasks", TASK_ID, field, "tasks/{task}")


def backfill_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Returns task and backfill in `tasks/{task}/backfills/{backfill}`; raises as `task_id`."""
    parts = name.split("/")
    has_form = len(parts) == 4 and parts[0] == "tasks" and parts[2] == "backfills"
    if not has_form or not TASK_ID.fullmatch(parts[1]) or not TASK_ID.fullmatch(parts[3]):
        raise _invalid(field, "tasks/{task}/backfills/{backfill}", name)
    return parts[1], parts[3]


def agent_id(name: str, field: str = "name") -> str:
    """Returns the id in `agents/{agent}`; raises as `task_id`."""
    return _id(name, "agents", RESOURCE_ID, field, "agents/{agent}")


def project_id(name: str, field: str = "name") -> str:
    """Returns the id in `projects/{project}`; raises as `task_id`."""
    return _id(name, "projects", RESOURCE_ID, field, "projects/{project}")


def tool_id(name: str, field: str = "name") -> str:
    """Returns the id in `tools/{tool}`; raises as `task_id`."""
    return _id(name, "tools", DOTTED, field, "tools/{tool}")


def run_id(name: str, field: str = "name") -> UUID:
    """Returns the id in `runs/{run}`; raises as `task_id`."""
    return UUID(_id(name, "runs", UUID_TEXT, field, "runs/{uuid}"))


def approval_id(name: str, field: str = "name") -> UUID:
    """Returns the id in `approvals/{approval}`; raises as `task_id`."""
    return UUID(_id(name, "approvals", UUID_TEXT, field, "approvals/{uuid}"))


def token_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Returns agent and public id in `agents/{agent}/tokens/{token}`; raises as `task_id`."""
    parts = name.split("/")
    has_form = len(parts) == 4 and parts[0] == "agents" and parts[2] == "tokens"
    if not has_form or not RESOURCE_ID.fullmatch(parts[1]) or not PUBLIC_ID.fullmatch(parts[3]):
        raise _invalid(field, "agents/{agent}/tokens/{token}", name)
    return parts[1], parts[3]


def state_namespace(parent: str, field: str = "parent") -> str:
    """Returns the namespace in `state/{namespace}`; raises as `task_id`."""
    return _id(parent, "state", STATE_NAMESPACE, field, "state/{namespace}")


def state_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Returns namespace and key in `state/{namespace}/{key}`; the key may contain slashes. Raises as `task_id`."""
    collection, _, rest = name.partition("/")
    namespace, _, key = rest.partition("/")
    has_form = collection == "state" and STATE_NAMESPACE.fullmatch(namespace) and STATE_KEY.fullmatch(key)
    if not has_form or len(key) > STATE_KEY_MAX:
        raise _invalid(field, f"state/{{namespace}}/{{key}}, with a key of at most {STATE_KEY_MAX} characters", name)
    return namespace, key


def _id(name: str, collection: str, pattern: re.Pattern[str], field: str, form: str) -> str:
    resource_id = split_name(name, collection)
    if resource_id is None or not pattern.fullmatch(resource_id):
        raise _invalid(field, form, name)
    return resource_id


def _invalid(field: str, form: str, name: str) -> InvalidArgumentError:
    message = f"must have the form {form} {got(name)}"
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.NAME_INVALID)])


def topic_pattern(pattern: str, field: str = "topic") -> Callable[[str], bool]:
    """Returns a predicate for topics; an empty pattern matches every topic.

    Raises:
        InvalidArgumentError: INVALID_TOPIC.
    """
    if not pattern:
        return lambda _topic: True
    try:
        return topic_matcher(pattern)
    except TopicPatternError as error:
        raise InvalidArgumentError.of([Violation(field, str(error), ErrorReason.INVALID_TOPIC)]) from error


def new_id() -> UUID:
    """Returns a new UUIDv7: ids sort by their creation time in milliseconds."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
