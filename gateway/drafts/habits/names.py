"""Names: of the task, and of its steps."""

import re

from gateway.drafts.draft import ASSUMED, CERTAIN, Ask, Option
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.walk import lists_of_steps, steps_of
from gateway.drafts.tree import Object

_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
_STEP_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")
STEP_NAMES = "step names"
"""Key of the notes: the names of steps as they were written, by the names that they have."""


def task_name(work: Work) -> None:
    """`name: d25` becomes `tasks/d25`; `name: Morning Weather` an id and a display name."""
    root, draft = work.draft.root, work.draft
    name = root.get("name") if isinstance(root, Object) else None
    if not isinstance(name, str) or not name.strip():
        if isinstance(root, Object) and isinstance(name, int):
            draft.put(root, "name", f"tasks/task-{name}", "Makes a name of the number.", ASSUMED)
        return
    chosen = re.sub(r"^/?(?:v1/)?tasks?[/:.](?=.)|\.(?:ya?ml|json)$", "", name.strip(), flags=re.IGNORECASE)
    if _ID.fullmatch(chosen):
        if name != f"tasks/{chosen}":
            draft.put(root, "name", f"tasks/{chosen}", "The name of a task begins with `tasks/`.")
        return
    identifier = slug(chosen)
    if not identifier:
        draft.lose(root.place_of("name"), "No name could be made of this text: the server generates one.")
        draft.remove(root, "name", "Leaves the name to the server.", ASSUMED)
        return
    if "display_name" not in root and " " in chosen.strip():
        root["display_name"] = chosen.strip()
        root.places["display_name"] = root.place_of("name")
    draft.put(root, "name", f"tasks/{identifier}", "Makes an id of the name.", ASSUMED)


def slug(text: str) -> str:
    """An id of a task made from a text; empty without usable characters.

    >>> slug("Morning Weather!"), slug("daily_report"), slug("sendReport2")
    ('morning-weather', 'daily-report', 'send-report2')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text[:200]).lower()
    return re.sub(r"^[0-9-]+", "", re.sub(r"[^a-z0-9]+", "-", words))[:63].strip("-")


def step_name(text: str) -> str:
    """An id of a step made from a text; empty without usable characters.

    >>> step_name("Fetch-Weather"), step_name("get weather"), step_name("2nd")
    ('fetch_weather', 'get_weather', 'nd')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:200]).lower()
    name = re.sub(r"^[0-9_]+", "", re.sub(r"[^a-z0-9]+", "_", words))[:60].strip("_")
    return f"{name}_step" if name == "on_error" else name


def step_ids(work: Work) -> None:
    """Gives every step an id: the written one in the form of an identifier, or one made from its name or tool."""
    written: dict[str, list[str]] = work.notes.setdefault(STEP_NAMES, {})
    used = {step["id"] for step in steps_of(work) if isinstance(step.get("id"), str) and _STEP_ID.fullmatch(step["id"])}
    for steps in lists_of_steps(work):
        for number, step in enumerate(steps):
            if isinstance(step, Object):
                _identify(work, step, number, used, written)
    _unique(work, written)


def _identify(work: Work, step: Object, number: int, used: set[str], written: dict[str, list[str]]) -> None:
    draft, own = work.draft, step.get("id")
    text = str(own) if isinstance(own, str | int) and not isinstance(own, bool) else ""
    if isinstance(own, str) and _STEP_ID.fullmatch(own) and own != "on_error":
        written.setdefault(own, []).append(own)
        return
    title = step.get("name") if isinstance(step.get("name"), str) else ""
    tool = step["uses"].rpartition(".")[2] if isinstance(step.get("uses"), str) else ""
    action = next((key for key in ("do", "branches", "foreach") if key in step), "")
    base = (
        step_name(text or str(title) or tool) or step_name(f"step_{text}" if text else action) or f"step_{number + 1}"
    )
    identifier = free_name(base, used)
    used.add(identifier)
    for name in {text, str(title), base} - {""}:
        written.setdefault(name, []).append(identifier)
    why = "Writes the id with lower-case letters, digits and `_`." if text else "Names the step."
    if own is None and "id" not in step:
        step.places["id"] = step.place
    before = dict(step)
    draft.put(step, "id", identifier, why, ASSUMED if not text else CERTAIN)
    if "id" not in before:  # the id comes first
        members = {"id": identifier, **before}
        step.clear()
        step.update(members)


def free_name(base: str, used: set[str]) -> str:
    """A name that is not taken: the base, or the base with a number."""
    if base not in used:
        return base
    return next(name for number in range(2, len(used) + 3) if (name := f"{base[:58]}_{number}") not in used)


def _unique(work: Work, written: dict[str, list[str]]) -> None:
    """A second step with the same id gets another one; what reads the id is decided by the templates."""
    seen: dict[str, Object] = {}
    used = {str(step.get("id")) for step in steps_of(work)} | {str(step.get("save_as")) for step in steps_of(work)}
    for step in steps_of(work):
        name = step.get("id")
        if not isinstance(name, str) or not name:
            continue
        if name in seen:
            identifier = free_name(name, used)
            used.add(identifier)
            work.draft.put(
                step, "id", identifier, f"An id is unique: `{name}` is also that of an earlier step.", ASSUMED
            )
            written.setdefault(name, []).append(identifier)
            step_of = work.notes.setdefault("renamed", {})
            step_of[identifier] = name
        else:
            seen[name] = step


def ask_which(work: Work, name: str, candidates: list[str]) -> Ask:
    """The question which of several steps with one name is read."""
    options = [
        Option("last", f"the last one, `{candidates[-1]}`"),
        Option("first", f"the first one, `{candidates[0]}`"),
    ]
    return Ask(
        f"{work.prefix}step:{name}", f"Several steps have the name `{name}`. Which one is read?", options, "last"
    )
