"""A request of a step for a child run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ordinaut.names import child_key
from worker.effects.errors import EffectError
from worker.held_runs import HeldRun


@dataclass(slots=True)
class ChildRequest:
    """A child run that a step requests; afterwards `child` is its id, or `error` says why it was not started.

    `key` is the idempotency key of the step, `input` its input. `awaited`: the step waits for the end of the child. A
    child without a task has its document in `pipeline` (JSON), and the tools that the document uses in `tools`.
    """

    run: HeldRun
    path: str
    key: str
    tool: str
    input: dict[str, Any]
    awaited: bool = False
    pipeline: str = ""
    tools: Sequence[str] = ()
    child: UUID | None = None
    error: EffectError | None = None

    @property
    def child_key(self) -> UUID:
        """The key of the child, derived from the step's: the same for every request of the step."""
        return child_key(self.key)

    @property
    def task(self) -> str:
        """The name of the task to run; empty for a document."""
        return "" if self.pipeline else str(self.input.get("task", "")).removeprefix("tasks/")
