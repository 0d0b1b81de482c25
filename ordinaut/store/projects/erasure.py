"""Searches a project for the records that mention a person, and erases their content, kind by kind."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ordinaut.store.sql import Connection, Queries, Query

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of records; without `erase` they are in use and only named."""

    name: str
    search: Query
    erase: Query | None = None


# What is in use comes first: a caller learns about it before anything else is erased.
KINDS = (
    Kind("live_runs", SQL.live_runs),
    Kind("running_backfills", SQL.running_backfills),
    Kind("used_versions", SQL.used_versions),
    Kind("used_tasks", SQL.used_tasks),
    Kind("used_tools", SQL.used_tools),
    Kind("used_agents", SQL.used_agents),
    Kind("runs", SQL.runs, SQL.erase_runs),
    Kind("approvals", SQL.approvals, SQL.erase_approvals),
    Kind("state_entries", SQL.state_entries, SQL.erase_state_entries),
    Kind("events", SQL.events, SQL.erase_events),
    Kind("event_ids", SQL.event_ids, SQL.erase_event_ids),
    Kind("backfills", SQL.backfills, SQL.erase_backfills),
    Kind("task_versions", SQL.task_versions, SQL.erase_task_versions),
    Kind("tasks", SQL.tasks, SQL.erase_tasks),
    Kind("responses", SQL.responses, SQL.erase_responses),
    Kind("audit_records", SQL.audit_records, SQL.erase_audit_records),
)
INTEGER_KEYS = frozenset({"events", "audit_records"})


@dataclass(frozen=True, slots=True)
class Subject:
    """An identifier as it is searched for: its spellings, and a regular expression for it as a whole word."""

    forms: tuple[str, ...]
    pattern: str

    @classmethod
    def of(cls, text: str) -> "Subject":
        """The spellings of an identifier: composed and decomposed characters, lower and upper case.

        An e-mail address is not found inside of a longer one: `ann@example.org` not in `joann@example.org`,
        `j.ann@example.org` or `ann@example.org.uk`.
        """
        spellings = (spelling for case in (text, text.lower(), text.upper()) for spelling in _normalized(case))
        forms = tuple(dict.fromkeys(spellings))
        word, before, after = "[[:alnum:]_]", "[[:alnum:]_]", "[[:alnum:]_]"
        if "@" in text:
            before, after = "[[:alnum:]_.+-]", f"[.-]?{word}"
        choices = "|".join(re.sub(r"([^\w\s])", r"\\\1", form) for form in forms)
        return cls(forms, f"(?<!{before})({choices})(?!{after})")


@dataclass(frozen=True, slots=True)
class Searched:
    """Rows of a kind: the key of the last one, None if there are no more, and those that mention the person."""

    last: str | None
    keys: list[str]
    names: list[str]


async def search(
    connection: Connection, kind: Kind, *, project: str, subject: Subject, after: str, size: int
) -> Searched:
    """Searches the next `size` rows of a kind after a key; an empty key precedes every row."""
    arguments = _spelled(subject) | {"project": project, "after": after, "size": size}
    rows = await kind.search.rows(connection, **_taken(kind.search, arguments))
    matching = [row for row in rows if row["found"]]
    last = rows[-1]["key"] if len(rows) == size else None
    return Searched(last, [row["key"] for row in matching], [row["name"] for row in matching])


async def erase(connection: Connection, kind: Kind, *, project: str, subject: Subject, keys: Sequence[str]) -> int:
    """Erases the content of records of a kind that is not in use; returns their number."""
    if kind.erase is None or not keys:
        return 0
    typed = [int(key) for key in keys] if kind.name in INTEGER_KEYS else list(keys)
    arguments = _spelled(subject) | {"project": project, "keys": typed}
    return await kind.erase.run(connection, **_taken(kind.erase, arguments))


def _spelled(subject: Subject) -> dict[str, Any]:
    return {"forms": list(subject.forms), "pattern": subject.pattern}


def _taken(query: Query, arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in query.parameters}


def _normalized(text: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
