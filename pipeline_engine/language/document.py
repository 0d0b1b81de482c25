"""A parsed pipeline: normalised steps, each with its place in the submitted document."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline_engine.language.findings import Place

VERSION = 1
MAX_STEPS = 1000
MAX_LEVELS = 8
"""Maximum nesting of lists of steps: `do`, branches and handlers."""
MAX_BRANCHES = 50
MAX_ITEMS = 1000
"""Maximum number of elements of one `foreach`."""
MAX_PARALLEL = 100
DEFAULT_PARALLEL = 10


def format_seconds(seconds: float) -> str:
    """Formats a duration as in a normalised document.

    >>> format_seconds(90), format_seconds(0.5)
    ('90s', '0.5s')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


DEFAULT_JITTER = 0.5
"""The default: a retry is delayed by between half of the delay and all of it."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """When a failed attempt is retried: at most `max` times, after delays in seconds.

    `jitter` is the random share of a delay, from 0 to 1. Empty `codes` stand for the default error codes.
    """

    max: int
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 3600.0
    jitter: float = DEFAULT_JITTER
    codes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the rule as in a normalised document."""
        return {
            "max": self.max,
            "delay": format_seconds(self.delay),
            "factor": self.factor,
            "max_delay": format_seconds(self.max_delay),
            "jitter": self.jitter,
            "codes": list(self.codes),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One step: it calls a tool (`uses`), runs the steps of `body`, or runs its `branches` concurrently.

    `foreach` is a list or the text of an expression, `needs_approval` the options of the approval before the step,
    `timeout` in seconds.
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
        """The names of its output under `steps`."""
        return (self.id, self.save_as) if self.save_as and self.save_as != self.id else (self.id,)

    @property
    def inner_names(self) -> tuple[str, ...]:
        """The names of the steps in a `do` without `foreach`, which stay visible after it."""
        if self.foreach is not None:
            return ()
        return tuple(name for step in self.body or () for name in (*step.names, *step.inner_names))

    @property
    def lists(self) -> "Iterator[tuple[Step, ...]]":
        """The lists of inner steps: the body or the branches, then the handlers."""
        if self.body is not None:
            yield self.body
        yield from (self.branches or {}).values()
        yield self.handlers

    @property
    def handlers(self) -> "tuple[Step, ...]":
        """The steps that run when this step fails."""
        return self.on_error if isinstance(self.on_error, tuple) else ()

    def to_json(self) -> dict[str, Any]:
        """Returns the step as in a normalised document."""
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
            "timeout": format_seconds(self.timeout) if self.timeout is not None else None,
            "on_error": on_error if on_error not in ("fail", ()) else None,
        }
        return {key: value for key, value in values.items() if value is not None}

    @staticmethod
    def _branches_json(branches: "Mapping[str, tuple[Step, ...]]") -> dict[str, Any]:
        return {name: [step.to_json() for step in steps] for name, steps in branches.items()}


@dataclass(frozen=True, slots=True)
class Document:
    """A whole pipeline; `params` come from a `payload` wrapper, `timeout` and `deadline` in seconds.

    `final_steps` are those of `finally`.
    """

    place: Place
    steps: tuple[Step, ...]
    on_error: tuple[Step, ...] = ()
    output: Any = None
    has_output: bool = False
    timeout: float | None = None
    params: Any = None
    deadline: float | None = None
    final_steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the normalised document."""
        values: dict[str, Any] = {"version": VERSION, "steps": [step.to_json() for step in self.steps]}
        if self.has_output:
            values["output"] = self.output
        if self.on_error:
            values["on_error"] = [step.to_json() for step in self.on_error]
        if self.timeout is not None:
            values["timeout"] = format_seconds(self.timeout)
        if self.deadline is not None:
            values["deadline"] = format_seconds(self.deadline)
        if self.final_steps:
            values["finally"] = [step.to_json() for step in self.final_steps]
        return values

    def all_steps(self) -> Iterator[Step]:
        """Yields every step, including inner steps, handlers and those of `finally`."""
        stack = [*reversed(self.final_steps), *reversed(self.on_error), *reversed(self.steps)]
        while stack:
            step = stack.pop()
            yield step
            stack.extend(reversed([inner for steps in step.lists for inner in steps]))
