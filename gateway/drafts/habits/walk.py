"""Walks through the steps of a draft."""

from collections.abc import Iterator
from typing import Any

from gateway.drafts.habits.context import Work
from gateway.drafts.tree import Array, Object

DEPTH_MAX = 12


def pipeline_of(work: Work) -> Object | None:
    """The pipeline of the draft, if it is an object."""
    root = work.draft.root
    pipeline = root.get("pipeline") if isinstance(root, Object) else None
    return pipeline if isinstance(pipeline, Object) else None


def lists_of_steps(work: Work) -> Iterator[Array]:
    """Every list of steps, an outer one before those in it."""
    pipeline = pipeline_of(work)
    if pipeline is not None:
        for key in ("steps", "on_error"):
            yield from _lists(pipeline.get(key), 0)


def _lists(value: Any, depth: int) -> Iterator[Array]:
    if not isinstance(value, Array) or depth > DEPTH_MAX:
        return
    yield value
    for step in value:
        if isinstance(step, Object):
            yield from _lists(step.get("do"), depth + 1)
            yield from _lists(step.get("else"), depth + 1)
            yield from _lists(step.get("on_error"), depth + 1)
            branches = step.get("branches")
            for branch in branches.values() if isinstance(branches, Object) else ():
                yield from _lists(branch, depth + 1)


def steps_of(work: Work) -> Iterator[Object]:
    """Every step, an outer one before those in it."""
    for steps in lists_of_steps(work):
        yield from (step for step in list(steps) if isinstance(step, Object))
