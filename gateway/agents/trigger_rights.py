"""Event triggers of an agent whose scopes have changed: a trigger whose topic the agent may not read does not match."""

from collections.abc import Sequence

from ordinaut.names import granted, intersection
from ordinaut.store import event
from ordinaut.store.sql import Connection

READ = "events:read"


async def deny_triggers(connection: Connection, *, project: str, owner: str, scopes: Sequence[str]) -> None:
    """Denies the triggers of `owner` (`agents/…`) that need more than `scopes`, and allows the others again."""
    changed = []
    for trigger in await event.owned_triggers(connection, project=project, owner=owner):
        rights = intersection(frozenset(trigger.scopes), frozenset(scopes))
        denied = not granted(rights, READ, trigger.topic)
        if denied != trigger.denied:
            changed.append((trigger.task, trigger.trigger, denied))
    await event.set_denied(connection, changed)
