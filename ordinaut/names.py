"""The names of resources, topics and scopes: their forms, and nothing else."""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from uuid import UUID, uuid5

RESOURCE_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
DOTTED = re.compile(r"[a-z][a-z0-9_-]{0,62}(\.[a-z][a-z0-9_-]{0,62}){0,7}")
SCOPE = re.compile(
    r"admin|(tasks|runs|tools|agents|system|events|state|approvals):(read|write)(:[a-z0-9_.*/-]{1,128})?"
    r"|tasks:run(:[a-z0-9*-]{1,128})?|tools:call(:[a-z0-9_.*-]{1,128})?"
    r"|events:publish(:[a-z0-9_.*-]{1,128})?|secrets:use(:[a-z0-9_*]{1,128})?"
)
TOPIC_WORD = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
MAX_TOPIC = 511
MAX_TOPIC_WORDS = 8
STATE_NAMESPACE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
STATE_KEY = re.compile(r"[A-Za-z0-9_.:@-]+(/[A-Za-z0-9_.:@-]+)*")
STATE_KEY_MAX = 512
EMITTED = UUID("6f726469-6e61-5574-8000-6576656e7400")
STARTED = UUID("6f726469-6e61-5574-8000-6368696c6400")
SECRET = re.compile(r"[a-z][a-z0-9_]{0,62}")
SECRET_REFERENCE = re.compile(rf"\$\{{\s*secrets\.({SECRET.pattern})\s*\}}")
WRITTEN_REFERENCE = re.compile(rf"(?<!\$){SECRET_REFERENCE.pattern}")  # `$${` is how a template writes the characters
USE_SECRET = "secrets:use"  # noqa: S105 - a scope
SYSTEM_PROJECT = "_"
SYSTEM_TOPIC = "ordinaut."


class TopicPatternError(ValueError):
    """Not a topic pattern; the text says why."""


@lru_cache(maxsize=4096)
def topic_matcher(pattern: str) -> Callable[[str], bool]:
    """A test whether a topic fits a pattern: `*` stands for one word, a final `>` for one or more.

    Linear in the topic's length.

    Raises:
        TopicPatternError: the pattern is not of that form.
    """
    words = pattern.split(".")
    if len(pattern) > MAX_TOPIC or len(words) > MAX_TOPIC_WORDS:
        raise TopicPatternError(f"at most {MAX_TOPIC_WORDS} words and {MAX_TOPIC} characters")
    open_end = words[-1] == ">"
    fixed = tuple(words[:-1] if open_end else words)
    for word in fixed:
        if word != "*" and not TOPIC_WORD.fullmatch(word):
            raise TopicPatternError(f'"{word[:40]}" is neither a word such as mail nor * (> stands only at the end)')

    def matches(topic: str) -> bool:
        found = topic.split(".")
        if len(found) <= len(fixed) if open_end else len(found) != len(fixed):
            return False
        return all(word in ("*", actual) for word, actual in zip(fixed, found, strict=False))

    return matches


def secret_names(text: str) -> list[str]:
    """The secrets that the templates of a text refer to as `${secrets.NAME}`, each once."""
    return sorted(set(WRITTEN_REFERENCE.findall(text)))


def split_name(name: str, collection: str) -> str | None:
    """The id in `collection/id`; None when the name is not of that form."""
    head, slash, tail = name.partition("/")
    return tail if head == collection and slash and tail and "/" not in tail else None


def granted(scopes: frozenset[str], needed: str, resource: str = "*") -> bool:
    """Whether `scopes` hold `needed` (`noun:verb`) for `resource` (a tool, topic or namespace; `*`: for any).

    A scope without a glob stands for every resource. With resource `*` a scope for some resources suffices: the
    narrower question must then be asked once the resource is known.
    """
    if "admin" in scopes or needed in scopes:
        return True
    prefix = needed + ":"
    globs = [scope[len(prefix) :] for scope in scopes if scope.startswith(prefix)]
    return bool(globs) if resource == "*" else any(fnmatchcase(resource, glob) for glob in globs)


def covers(holder: frozenset[str], scope: str) -> bool:
    """Whether who holds `holder` may give `scope` to others."""
    if "admin" in holder or scope in holder:
        return True
    parts = scope.split(":", 2)
    needed = ":".join(parts[:2])
    if needed in holder or len(parts) < 3:
        return needed in holder
    return any(
        fnmatchcase(parts[2], held.split(":", 2)[2])
        for held in holder
        if held.startswith(needed + ":") and held.count(":") == 2
    )


def occurrence_id(key: str, instant: datetime | None) -> str:
    """The public id of an occurrence: its UTC instant, or its key for events and manual runs; never with a colon."""
    if instant is None:
        return key.replace(":", "-")
    moment = instant.astimezone(UTC)
    return moment.strftime("%Y%m%dT%H%M%S.%fZ" if moment.microsecond else "%Y%m%dT%H%M%SZ")


def idempotency_key(root: str, path: str) -> str:
    """What a tool gets as its key for one step: the same after retry, crash and restore; 255 characters at most."""
    key = f"{root}/{path}"
    return key if len(key) <= 255 else f"{key[:190]}{hashlib.sha256(key.encode()).hexdigest()}"


def emitted_uid(idempotency_key: str) -> UUID:
    """The uid of the event that the step with this key emits: the same after a crash."""
    return uuid5(EMITTED, idempotency_key)


def child_key(idempotency_key: str) -> UUID:
    """What the run is known by that the step with this key starts: the same after a crash, and for a retry."""
    return uuid5(STARTED, idempotency_key)
