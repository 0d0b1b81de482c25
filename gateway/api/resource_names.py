"""Resource names, topic patterns and fresh ids: parses what callers send, or reports what is wrong with it."""

import re
import secrets
import time
from collections.abc import Callable
from uuid import UUID

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
from ordinaut.v1.error_pb2 import ErrorReason

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TASK_ID = re.compile(f"{RESOURCE_ID.pattern}|{UUID_TEXT.pattern}")  # without a chosen id the uid is the name
TOKEN_ID = re.compile(r"[0-9a-f]{16}")


def task_id(name: str, field: str = "name") -> str:
    """The id in `tasks/{task}`; raises as all of these do.

    Raises:
        InvalidArgumentError: NAME_INVALID, naming the form.
    """
    return _id(name, "tasks", TASK_ID, field, "tasks/{task}")


def backfill_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Task and backfill in `tasks/{task}/backfills/{backfill}`."""
    parts = name.split("/")
    fits = len(parts) == 4 and parts[0] == "tasks" and parts[2] == "backfills"
    if not fits or not TASK_ID.fullmatch(parts[1]) or not TASK_ID.fullmatch(parts[3]):
        raise _invalid(field, "tasks/{task}/backfills/{backfill}")
    return parts[1], parts[3]


def agent_id(name: str, field: str = "name") -> str:
    """The id in `agents/{agent}`."""
    return _id(name, "agents", RESOURCE_ID, field, "agents/{agent}")


def tool_id(name: str, field: str = "name") -> str:
    """The id in `tools/{tool}`."""
    return _id(name, "tools", DOTTED, field, "tools/{tool}")


def run_id(name: str, field: str = "name") -> UUID:
    """The id in `runs/{run}`."""
    return UUID(_id(name, "runs", UUID_TEXT, field, "runs/{uuid}"))


def approval_id(name: str, field: str = "name") -> UUID:
    """The id in `approvals/{approval}`."""
    return UUID(_id(name, "approvals", UUID_TEXT, field, "approvals/{uuid}"))


def token_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Agent and public id in `agents/{agent}/tokens/{token}`."""
    parts = name.split("/")
    fits = len(parts) == 4 and parts[0] == "agents" and parts[2] == "tokens"
    if not fits or not RESOURCE_ID.fullmatch(parts[1]) or not TOKEN_ID.fullmatch(parts[3]):
        raise _invalid(field, "agents/{agent}/tokens/{token}")
    return parts[1], parts[3]


def state_namespace(parent: str, field: str = "parent") -> str:
    """The namespace in `state/{namespace}`."""
    return _id(parent, "state", STATE_NAMESPACE, field, "state/{namespace}")


def state_ids(name: str, field: str = "name") -> tuple[str, str]:
    """Namespace and key in `state/{namespace}/{key}`; the key may hold slashes."""
    collection, _, rest = name.partition("/")
    namespace, _, key = rest.partition("/")
    fits = collection == "state" and STATE_NAMESPACE.fullmatch(namespace) and STATE_KEY.fullmatch(key)
    if not fits or len(key) > STATE_KEY_MAX:
        raise _invalid(field, f"state/{{namespace}}/{{key}}, the key of at most {STATE_KEY_MAX} characters")
    return namespace, key


def _id(name: str, collection: str, pattern: re.Pattern[str], field: str, form: str) -> str:
    found = split_name(name, collection)
    if found is None or not pattern.fullmatch(found):
        raise _invalid(field, form)
    return found


def _invalid(field: str, form: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, f"must have the form {form}", ErrorReason.NAME_INVALID)])


def topic_pattern(pattern: str, field: str = "topic") -> Callable[[str], bool]:
    """Tells whether a topic matches; an empty pattern matches all.

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
    """A fresh id that sorts by its millisecond."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
