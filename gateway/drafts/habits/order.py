"""The order of steps where a document names what each follows: `needs`, `depends_on`, `after`."""

from typing import Any

from gateway.drafts.draft import ASSUMED, CERTAIN
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.durations import duration
from gateway.drafts.habits.names import STEP_NAMES
from gateway.drafts.habits.walk import lists_of_steps
from gateway.drafts.habits.words import ORDER_WORDS, folded
from gateway.drafts.tree import Array, Object


def order(work: Work) -> None:
    """Removes `needs` where the list is in that order already, and sorts the list otherwise."""
    earlier: set[str] = set()
    for steps in lists_of_steps(work):
        _chained(work, steps)
        needs = {id(step): _needs(work, step) for step in steps if isinstance(step, Object)}
        if any(_keys(step) for step in steps if isinstance(step, Object)):
            _sort(work, steps, needs, earlier)
        earlier |= {str(step.get("id")) for step in steps if isinstance(step, Object)}


def follow(work: Work) -> None:
    """Removes `next` where it names the step that follows, or the end."""
    written = work.notes.get(STEP_NAMES, {})
    for steps in lists_of_steps(work):
        for index, step in enumerate(steps):
            for key in (
                [key for key in step if folded(key) in {"next", "next_step", "goto"}]
                if isinstance(step, Object)
                else ()
            ):
                after = (
                    steps[index + 1].get("id")
                    if index + 1 < len(steps) and isinstance(steps[index + 1], Object)
                    else None
                )
                name = step[key]
                target = written.get(name, [name])[-1] if isinstance(name, str) else name
                ends = name is None or (isinstance(name, str) and name.lower() in {"end", "stop", "finish", "done", ""})
                if target == after or (ends and after is None):
                    work.draft.remove(step, key, "Steps run in the order of the list.")


def _chained(work: Work, steps: Array) -> None:
    """`next` of steps in another order: the step that it names needs the one that names it."""
    written = work.notes.get(STEP_NAMES, {})
    named = {str(step.get("id")): step for step in steps if isinstance(step, Object)}
    chain: list[tuple[Object, str, Object]] = []
    for step in named.values():
        for key in [key for key in step if folded(key) in {"next", "next_step", "then"} and isinstance(step[key], str)]:
            target = named.get(written.get(step[key], [step[key]])[-1])
            if target is not None and not _keys(target):
                chain.append((step, key, target))
    followed = [id(target) for _, _, target in chain]
    sources = [id(source) for source, _, _ in chain]
    if len(set(followed)) != len(followed) or len(set(sources)) != len(sources) or len(chain) != len(named) - 1:
        return  # not one line through all steps
    for source, key, target in chain:
        work.draft.remove(source, key, "Steps run in the order of the list.", ASSUMED)
        target["needs"] = str(source.get("id"))


def _keys(step: Object) -> list[str]:
    return [
        key
        for key in step
        if folded(key) in ORDER_WORDS and _is_names(step[key]) and not (key == "wait_for" and duration(step[key]))
    ]


def _is_names(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, str)
        or (isinstance(value, Array) and all(isinstance(item, str) for item in value))
    )


def _needs(work: Work, step: Object) -> list[str]:
    written = work.notes.get(STEP_NAMES, {})
    names: list[str] = []
    for key in _keys(step):
        value = step[key]
        for name in [value] if isinstance(value, str) else value or []:
            bare = name.removeprefix("steps.")
            names += written.get(bare, [bare])[-1:]
    return names


def _sort(work: Work, steps: Array, needs: dict[int, list[str]], earlier: set[str]) -> None:
    draft = work.draft
    ids = {str(step.get("id")) for step in steps if isinstance(step, Object)} | earlier
    if any(name not in ids for names in needs.values() for name in names):
        return  # a name that is not a step: the key stays, and is reported
    sorted_steps = _sorted(list(steps), needs, earlier)
    if sorted_steps is None:
        return
    moved = any(first is not second for first, second in zip(steps, sorted_steps, strict=True))
    if moved:
        steps[:] = sorted_steps
        steps.places = []
        names = [str(step.get("id")) for step in sorted_steps if isinstance(step, Object)]
        draft.note(f"Orders the steps: {', '.join(names)[:300]}.", steps.place, certain=False)
    for step in steps:
        for key in _keys(step) if isinstance(step, Object) else ():
            why = "Steps run in the order of the list, which is this one."
            draft.remove(step, key, why, ASSUMED if moved else CERTAIN)


def _sorted(steps: list[Any], needs: dict[int, list[str]], done: set[str]) -> list[Any] | None:
    """The steps after those that they need, otherwise in their order; None if they need each other."""
    done, rest, result = set(done), list(steps), list[Any]()
    while rest:
        step = next((step for step in rest if set(needs.get(id(step), [])) <= done), None)
        if step is None:
            return None
        rest = [candidate for candidate in rest if candidate is not step]
        result.append(step)
        done.add(str(step.get("id")) if isinstance(step, Object) else "")
    return result
