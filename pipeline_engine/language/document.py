"""A pipeline as it is once it is read: steps with everything normalised, each with its place in what was sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline_engine.language.findings import Place

VERSION = 1
MAX_STEPS = 1000
MAX_LEVELS = 8
"""How many lists of steps may lie in each other: `do`, branches and handlers."""
MAX_BRANCHES = 50
MAX_ITEMS = 1000
"""Elements of one `foreach`."""
MAX_PARALLEL = 100
DEFAULT_PARALLEL = 10


def written_seconds(seconds: float) -> str:
    """A duration as the normalised document has it: `90s`, `0.5s`."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


DEFAULT_JITTER = 0.5
"""Retries are then delayed by between half of the delay and all of it."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often and when a failed attempt is repeated: delays in seconds; `jitter` is the random share of a delay."""

    max: int
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 3600.0
    jitter: float = DEFAULT_JITTER
    codes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As in a normalised document."""
        return {
            "max": self.max,
            "delay": written_seconds(self.delay),
            "factor": self.factor,
            "max_delay": written_seconds(self.max_delay),
            "jitter": self.jitter,
            "codes": list(self.codes),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One step: it uses a tool, or does the steps of `body`, or those of its `branches` side by side.

    `foreach` is a list or the text of an expression, `needs_approval` what is asked before it, `timeout` in seconds.
    """

    id: str
    place: Place
    uses: str = ""
    input: Any = field(default_factory=dict)
    body: "tuple[Step, ...] | None" = None
    branches: "Mapping[str, tuple[Step, ...]] | None" = None
    foreach: Any = None
    max_parallel: int | None = None
    needs_approval: Mapping[str, Any] | None = None
    condition: str | bool | None = None
    save_as: str | None = None
    retry: RetryRule | None = None
    timeout: float | None = None
    on_error: "tuple[Step, ...] | str" = "fail"
    name: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What its output is called under `steps`."""
        return (self.id, self.save_as) if self.save_as and self.save_as != self.id else (self.id,)

    @property
    def inner_names(self) -> tuple[str, ...]:
        """The names of steps in a plain `do`, which are names after it too."""
        if self.foreach is not None:
            return ()
        return tuple(name for step in self.body or () for name in (*step.names, *step.inner_names))

    @property
    def lists(self) -> "Iterator[tuple[Step, ...]]":
        """The lists of steps inside: the body or the branches, then the handlers."""
        if self.body is not None:
            yield self.body
        yield from (self.branches or {}).values()
        yield self.handlers

    @property
    def handlers(self) -> "tuple[Step, ...]":
        """The steps that run when it fails."""
        return self.on_error if isinstance(self.on_error, tuple) else ()

    def to_json(self) -> dict[str, Any]:
        """As in a normalised document."""
        on_error: Any = [step.to_json() for step in self.handlers] or self.on_error
        values: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "uses": self.uses or None,
            "with": self.input if self.uses else None,
            "do": None if self.body is None else [step.to_json() for step in self.body],
            "branches": None if self.branches is None else self._branches_json(self.branches),
            "foreach": self.foreach,
            "max_parallel": self.max_parallel,
            "if": self.condition,
            "needs_approval": self.needs_approval or (None if self.needs_approval is None else True),
            "save_as": self.save_as,
            "retry": self.retry.to_json() if self.retry else None,
            "timeout": written_seconds(self.timeout) if self.timeout is not None else None,
            "on_error": on_error if on_error not in ("fail", ()) else None,
        }
        return {key: value for key, value in values.items() if value is not None}

    @staticmethod
    def _branches_json(branches: "Mapping[str, tuple[Step, ...]]") -> dict[str, Any]:
        return {name: [step.to_json() for step in steps] for name, steps in branches.items()}


@dataclass(frozen=True, slots=True)
class Document:
    """A whole pipeline; `params` are those of a `payload` wrapper."""

    place: Place
    steps: tuple[Step, ...]
    on_error: tuple[Step, ...] = ()
    output: Any = None
    has_output: bool = False
    timeout: float | None = None
    params: Any = None

    def to_json(self) -> dict[str, Any]:
        """The normalised document."""
        values: dict[str, Any] = {"version": VERSION, "steps": [step.to_json() for step in self.steps]}
        if self.has_output:
            values["output"] = self.output
        if self.on_error:
            values["on_error"] = [step.to_json() for step in self.on_error]
        if self.timeout is not None:
            values["timeout"] = written_seconds(self.timeout)
        return values

    def all_steps(self) -> Iterator[Step]:
        """Every step, also those inside of others and those that run when something fails."""
        stack = [*reversed(self.on_error), *reversed(self.steps)]
        while stack:
            step = stack.pop()
            yield step
            stack.extend(reversed([inner for steps in step.lists for inner in steps]))
