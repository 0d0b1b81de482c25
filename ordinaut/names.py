"""Formats of resource names, topics, scopes and secrets, and the ids that are derived from them."""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from uuid import UUID, uuid5

RESOURCE_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
DOTTED = re.compile(r"[a-z][a-z0-9_-]{0,62}(\.[a-z][a-z0-9_-]{0,62}){0,7}")
# The characters of a glob are those of the names that it is compared with: any other one would make it match nothing.
SCOPE = re.compile(
    r"admin|system:(read|write)|audit:read|(tasks|runs|agents|approvals):(read|write)(:[a-z0-9*-]{1,128})?"
    r"|tasks:run(:[a-z0-9*-]{1,128})?|tools:(read|write|call)(:[a-z0-9_.*-]{1,128})?"
    r"|events:(read|publish)(:[a-z0-9_.*-]{1,128})?|events:source(:[A-Za-z0-9_.:@/*-]{1,128})?"
    r"|state:(read|write)(:[a-z0-9_*-]{1,128})?|secrets:use(:[a-z0-9_*]{1,128})?"
)
SCOPE_STARS = 4  # in one glob
TOPIC_WORD = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
MAX_TOPIC_LENGTH = 511
MAX_TOPIC_WORDS = 8
STATE_NAMESPACE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
STATE_KEY = re.compile(r"[A-Za-z0-9_.:@-]+(/[A-Za-z0-9_.:@-]+)*")
STATE_KEY_MAX = 512
EVENT_NAMESPACE = UUID("6f726469-6e61-5574-8000-6576656e7400")
CHILD_NAMESPACE = UUID("6f726469-6e61-5574-8000-6368696c6400")
SECRET = re.compile(r"[a-z][a-z0-9_]{0,62}")
SECRET_REFERENCE = re.compile(rf"\$\{{\s*secrets\.({SECRET.pattern})\s*\}}")
UNESCAPED_REFERENCE = re.compile(rf"(?<!\$){SECRET_REFERENCE.pattern}")  # `$${` in a template is an escaped `${`
USE_SECRET = "secrets:use"  # noqa: S105 - a scope
SYSTEM_PROJECT = "_"
WITHOUT_TASK = "-"
"""Stands for a task in the scopes of runs and approvals without one, and of a task that is created without an id."""
SYSTEM_TOPIC = "ordinaut."
SOURCES = ("agents/", "tasks/", "runs/", "hooks/", "ordinaut")
"""Prefixes of the sources of events that Ordinaut sets itself."""


def is_reserved_source(source: str) -> bool:
    """Whether the source of an event is, or looks like, one that Ordinaut sets itself.

    >>> [is_reserved_source(text) for text in ("agents/ann", " Agents/ann", "\u200btasks/x", "https://shop.example")]
    [True, True, True, False]
    """
    plain = unicodedata.normalize("NFKC", source).casefold()
    visible = "".join(letter for letter in plain if unicodedata.category(letter)[0] not in "CZ")
    return visible.startswith(SOURCES)


class TopicPatternError(ValueError):
    """The text is not a topic pattern; the message gives the reason."""


@lru_cache(maxsize=4096)
def topic_matcher(pattern: str) -> Callable[[str], bool]:
    """Returns a predicate for topics: `*` matches one word, a final `>` one or more words.

    The predicate is linear in the length of the topic.

    >>> topic_matcher("mail.*")("mail.received"), topic_matcher("mail.*")("mail.inbox.received")
    (True, False)
    >>> topic_matcher("orders.>")("orders.eu.paid"), topic_matcher("orders.>")("orders")
    (True, False)

    Raises:
        TopicPatternError: the pattern is malformed or too long.
    """
    words = pattern.split(".")
    if len(pattern) > MAX_TOPIC_LENGTH or len(words) > MAX_TOPIC_WORDS:
        limits = f"at most {MAX_TOPIC_WORDS} words and {MAX_TOPIC_LENGTH} characters"
        raise TopicPatternError(f"must have {limits} (got {len(words)} and {len(pattern)})")
    open_end = words[-1] == ">"
    fixed = tuple(words[:-1] if open_end else words)
    for word in fixed:
        if word != "*" and not TOPIC_WORD.fullmatch(word):
            raise TopicPatternError(
                f'"{word[:40]}" is neither a word such as mail nor *; > is allowed only as the last word'
            )

    def matches(topic: str) -> bool:
        actual = topic.split(".")
        if len(actual) <= len(fixed) if open_end else len(actual) != len(fixed):
            return False
        return all(expected in ("*", word) for expected, word in zip(fixed, actual, strict=False))

    return matches


def secret_names(text: str) -> list[str]:
    """The names of the secrets that a template references, sorted and without duplicates.

    >>> secret_names("Bearer ${secrets.api_token}, not $${secrets.escaped}")
    ['api_token']
    """
    return sorted(set(UNESCAPED_REFERENCE.findall(text)))


def is_reserved_topic(topic: str) -> bool:
    """Whether only Ordinaut publishes under the topic."""
    return topic.startswith(SYSTEM_TOPIC) or topic == SYSTEM_TOPIC.removesuffix(".")


def split_name(name: str, collection: str) -> str | None:
    """The id in `collection/id`; None if the name does not have this form.

    >>> split_name("tasks/morning-briefing", "tasks")
    'morning-briefing'
    """
    head, slash, tail = name.partition("/")
    return tail if head == collection and slash and tail and "/" not in tail else None


def granted(scopes: frozenset[str], needed: str, resource: str | None = None) -> bool:
    """Whether `scopes` grant `needed` (`noun:verb`) for `resource` (a tool, topic or namespace).

    A scope without a glob covers every resource. Without a resource, a scope for any is sufficient; the caller must
    check again once the resource is known.

    >>> granted(frozenset({"tools:call:mail.*"}), "tools:call", "mail.send")
    True
    >>> granted(frozenset({"tools:call:mail.*"}), "tools:call", "calendar.list")
    False
    """
    if "admin" in scopes or needed in scopes:
        return True
    prefix = needed + ":"
    globs = [scope[len(prefix) :] for scope in scopes if scope.startswith(prefix)]
    return bool(globs) if resource is None else any(fnmatchcase(resource, glob) for glob in globs)


def globs_of(scopes: frozenset[str], needed: str) -> list[str] | None:
    """The globs to which `scopes` limit `needed`; None if they grant it for every resource.

    >>> globs_of(frozenset({"tools:call:mail.*"}), "tools:call"), globs_of(frozenset({"tools:call"}), "tools:call")
    (['mail.*'], None)
    """
    if "admin" in scopes or needed in scopes:
        return None
    return sorted(scope[len(needed) + 1 :] for scope in scopes if scope.startswith(needed + ":"))


def covers(holder: frozenset[str], scope: str) -> bool:
    """Whether a caller with the scopes `holder` may grant `scope` to another agent.

    >>> covers(frozenset({"tools:call:mail.*"}), "tools:call:mail.send")
    True
    >>> covers(frozenset({"tools:call:mail.*"}), "tools:call")
    False
    """
    if "admin" in holder or scope in holder:
        return True
    parts = scope.split(":", 2)
    needed = ":".join(parts[:2])
    if needed in holder or len(parts) < 3:
        return needed in holder
    return any(
        fnmatchcase(parts[2], candidate.split(":", 2)[2])
        for candidate in holder
        if candidate.startswith(needed + ":") and candidate.count(":") == 2
    )


def intersection(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """The scopes that both sets grant: of two that overlap, the narrower one.

    Two globs that overlap without one containing the other, such as `mail.*` and `*.send`, grant nothing together.

    >>> sorted(intersection(frozenset({"tools:call:mail.*", "runs:read"}), frozenset({"tools:call:mail.send", "runs"})))
    ['tools:call:mail.send']
    >>> sorted(intersection(frozenset({"admin"}), frozenset({"runs:read"})))
    ['runs:read']
    """
    return frozenset(
        [scope for scope in first if covers(second, scope)] + [scope for scope in second if covers(first, scope)]
    )


def occurrence_id(key: str, instant: datetime | None) -> str:
    """The public id of an occurrence: its UTC instant, or its key for events and manual runs, without colons.

    >>> occurrence_id("1/tick", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    '20261025T003000Z'
    """
    if instant is None:
        return key.replace(":", "-")
    time = instant.astimezone(UTC)
    return time.strftime("%Y%m%dT%H%M%S.%fZ" if time.microsecond else "%Y%m%dT%H%M%SZ")


def idempotency_key(root: str, path: str) -> str:
    """The idempotency key of one step: equal after a retry, a crash and a restore; at most 255 characters.

    A longer key keeps its first 190 characters and ends with its SHA-256, so that keys with a common prefix differ.

    >>> idempotency_key("0199c0de", "loop[2].send")
    '0199c0de/loop[2].send'
    >>> len(idempotency_key("0199c0de", "x" * 300))
    254
    """
    key = f"{root}/{path}"
    return key if len(key) <= 255 else f"{key[:190]}{hashlib.sha256(key.encode()).hexdigest()}"


def final_root(root: str, run: str) -> str:
    """The beginning of the idempotency keys of the steps of `finally` of a run (`runs/{run}`).

    They are not those of the run that it retries: a retry runs its own `finally`, which is to act again.

    >>> final_root("0199c0de", "runs/0199c0df")
    '0199c0de/0199c0df'
    """
    return f"{root}/{run.removeprefix('runs/')}"


def emitted_uid(idempotency_key: str) -> UUID:
    """The uid of the event that the step with this idempotency key emits; equal after a crash."""
    return uuid5(EVENT_NAMESPACE, idempotency_key)


def child_key(idempotency_key: str) -> UUID:
    """The key of the run that the step with this idempotency key starts; equal after a crash and for a retry."""
    return uuid5(CHILD_NAMESPACE, idempotency_key)
