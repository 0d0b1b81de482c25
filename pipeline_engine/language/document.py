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
MAX_ITEMS = 10_000
"""Maximum number of elements of one `foreach`."""
MAX_ITERATIONS = 20_000
"""Maximum number of iterations and rounds of all loops of a run together."""
MAX_ROUNDS = 1000
"""Maximum number of rounds of one `until`. Each round resumes the run with its whole journal."""
DEFAULT_ROUNDS = 100
"""Rounds of an `until` without `max_rounds` and `timeout`."""
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
class Tolerance:
    """How many iterations of a loop may fail: `count` of them, or `hundredths` of a percent of all."""

    count: int = 0
    hundredths: int | None = None

    def of(self, iterations: int) -> int:
        """Returns the number of iterations that may fail.

        >>> Tolerance(count=3).of(10), Tolerance(hundredths=1250).of(10), Tolerance(hundredths=10_000).of(0)
        (3, 1, 0)
        """
        return self.count if self.hundredths is None else self.hundredths * iterations // 10_000

    def to_json(self) -> int | str:
        """Returns the tolerance as in a normalised document.

        >>> Tolerance(count=3).to_json(), Tolerance(hundredths=1250).to_json()
        (3, '12.5%')
        """
        return self.count if self.hundredths is None else f"{self.hundredths / 100:g}%"


@dataclass(frozen=True, slots=True)
class Rounds:
    """A step that is repeated `until` an expression holds, with a wait of `every` seconds between two rounds.

    It ends at the latest after `max_rounds`, or with the first round after `timeout` seconds.
    """

    until: str
    every: float
    max_rounds: int | None = None
    timeout: float | None = None

    @property
    def bound(self) -> int:
        """The maximum number of rounds."""
        return self.max_rounds or (DEFAULT_ROUNDS if self.timeout is None else MAX_ROUNDS)

    def to_json(self) -> dict[str, Any]:
        """Returns the keys of the step as in a normalised document."""
        return {
            "until": self.until,
            "every": format_seconds(self.every),
            "max_rounds": self.max_rounds,
            "timeout": None if self.timeout is None else format_seconds(self.timeout),
        }


@dataclass(frozen=True, slots=True)
class Step:
    """One step: it calls a tool (`uses`), runs the steps of `body`, or runs its `branches` concurrently.

    `foreach` is a list or the text of an expression, `needs_approval` the options of the approval before the step,
    `timeout` in seconds. `otherwise` are the steps of `else`, `rounds` those of `until`.
    """

    id: str
    place: Place
    uses: str = ""
    input: Any = field(default_factory=dict)
    body: "tuple[Step, ...] | None" = None
    branches: "Mapping[str, tuple[Step, ...]] | None" = None
    foreach: Any = None
    max_parallel: int | None = None
    tolerate: Tolerance | None = None
    rounds: Rounds | None = None
    needs_approval: Mapping[str, Any] | None = None
    condition: str | bool | None = None
    otherwise: "tuple[Step, ...]" = ()
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
        """The names of the steps in `else`, and in a `do` that is not repeated, which stay visible after it."""
        body = () if self.is_repeated else self.body or ()
        return tuple(name for step in (*body, *self.otherwise) for name in (*step.names, *step.inner_names))

    @property
    def is_repeated(self) -> bool:
        """Whether the step runs once per element or round, so that the names inside are local."""
        return self.foreach is not None or self.rounds is not None

    @property
    def lists(self) -> "Iterator[tuple[Step, ...]]":
        """The lists of inner steps: the body or the branches, then those of `else` and the handlers."""
        if self.body is not None:
            yield self.body
        yield from (self.branches or {}).values()
        yield self.otherwise
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
            "tolerate": self.tolerate.to_json() if self.tolerate else None,
            "if": self.condition,
            "else": [step.to_json() for step in self.otherwise] or None,
            "needs_approval": self.needs_approval or (None if self.needs_approval is None else True),
            "save_as": self.save_as,
            "retry": self.retry.to_json() if self.retry else None,
            "timeout": format_seconds(self.timeout) if self.timeout is not None else None,
            "on_error": on_error if on_error not in ("fail", ()) else None,
            **(self.rounds.to_json() if self.rounds else {}),
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
