"""A child that is to be: what a step asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ordinaut.names import child_key
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun


@dataclass(slots=True)
class Birth:
    """A child that a step asks for; then the run that it is, or why there is none. `key` is the step's own.

    `awaited`: the step waits for its end. `pipeline` is its document as JSON, where it is no run of a task; `tools` are
    those that the document uses.
    """

    run: HeldRun
    path: str
    key: str
    tool: str
    given: dict[str, Any]
    awaited: bool = False
    pipeline: str = ""
    tools: Sequence[str] = ()
    child: UUID | None = None
    refused: EffectError | None = None

    @property
    def id(self) -> UUID:
        """What the child is known by."""
        return child_key(self.key)

    @property
    def task(self) -> str:
        """The name of the task that is to run; empty: it is a document."""
        return "" if self.pipeline else str(self.given.get("task", "")).removeprefix("tasks/")
