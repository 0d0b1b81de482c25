"""What the dialects share: building our shape from the parts of a document, and rewriting names in templates."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.drafts.draft import Draft
from gateway.drafts.tree import Array, Object, Place, members

_PLACEHOLDER = re.compile(r"\$?\{\{(.*?)\}\}|\$\{(.*?)\}", re.DOTALL)
Substitution = tuple[re.Pattern[str], str]


def first(source: Any, *keys: str) -> Any:
    """The value of the first of these keys that an object has; None without one."""
    if isinstance(source, Object):
        for key in keys:
            if key in source:
                return source[key]
    return None


def take(source: Object, *keys: str) -> Any:
    """Removes the first of these keys that an object has, and returns its value; None without one."""
    for key in keys:
        if key in source:
            return source.pop(key)
    return None


def set_from(target: Object, key: str, value: Any, place: Place) -> None:
    """Sets a member that was written at another place; not for None."""
    if value is not None:
        target[key] = value
        target.places[key] = place


def rename(source: Object, names: dict[str, str]) -> None:
    """Renames keys, unless the new one is used."""
    for old, new in names.items():
        if old in source and new not in source:
            source.renamed(old, new)


def objects(value: Any) -> list[Object]:
    """The objects in a list; one object is a list of one."""
    if isinstance(value, Object):
        return [value]
    return [item for item in value if isinstance(item, Object)] if isinstance(value, Array) else []


def named(value: Any, key: str) -> Array:
    """The elements of an object by name as a list, with the name under `key`; a list is returned as it is."""
    if isinstance(value, Array):
        return value
    result = Array(place=value.place if isinstance(value, Object) else Place())
    for name, item in value.items() if isinstance(value, Object) else ():
        if isinstance(item, Object):
            if key not in item:
                set_from(item, key, name, value.place_of(name))
            result.append(item)
    return result


def substitute(value: Any, substitutions: Sequence[Substitution], *, conditions: Iterable[str] = ("if",)) -> None:
    """Rewrites names in the placeholders of every text in a value, and in its conditions."""

    def rewritten(text: str) -> str:
        for pattern, replacement in substitutions:
            text = pattern.sub(replacement, text)
        return text

    def in_placeholders(text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: rewritten(match[0]), text)

    keys = frozenset(conditions)
    stack = [value]
    while stack:
        node = stack.pop()
        for key, item in list(members(node)):
            if isinstance(item, str):
                node[key] = rewritten(item) if key in keys else in_placeholders(item)
            else:
                stack.append(item)


def lose_members(draft: Draft, source: Object, reasons: dict[str, str]) -> None:
    """Removes members that cannot be carried over, and names them."""
    for key, why in reasons.items():
        if key in source:
            draft.lose(source.place_of(key), why)
            source.pop(key)


def parameters(value: Any) -> Object | None:
    """Parameters as an object: from `[{name, value}]`, `{parameters: …}` or an object."""
    if isinstance(value, Object) and set(value) <= {"parameters", "artifacts"}:
        value = value.get("parameters")
    if isinstance(value, Array):
        result = Object(place=value.place)
        for item in objects(value):
            if isinstance(item.get("name"), str):
                set_from(result, item["name"], first(item, "value", "default"), item.place_of("value"))
        return result
    return value if isinstance(value, Object) else None


def set_schedule(root: Object, triggers: Array, zone: Any, place: Place) -> Object | None:
    """Adds a schedule with these triggers, if there are any."""
    if not triggers:
        return None
    schedule = Object({"triggers": triggers}, place)
    set_from(schedule, "time_zone", zone if isinstance(zone, str) else None, place)
    root["schedule"] = schedule
    root.places["schedule"] = place
    return schedule


def set_policy(root: Object, key: str, value: Any, place: Place) -> None:
    """Sets a member of the run policy."""
    policy = root.setdefault("run_policy", Object(place=place))
    if isinstance(policy, Object):
        set_from(policy, key, value, place)


def walk(value: Any, visit: Callable[[Object], None]) -> None:
    """Visits every object in a value, the outer one first."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, Object):
            visit(node)
        stack.extend(item for _, item in members(node))
