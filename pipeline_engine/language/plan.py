"""A compiled pipeline, which the interpreter executes; compiled once per definition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ordinaut.expressions import Account
from pipeline_engine.data.schemas import Check
from pipeline_engine.data.template import Template
from pipeline_engine.language.document import RetryRule, Tolerance
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.definition import Kind, Sensitive, Tool

Condition = Callable[[Mapping[str, Any], Account], bool]
"""Evaluates an expression on the values of the root names; raises ExpressionError."""


@dataclass(frozen=True, slots=True)
class RoundsPlan:
    """The rounds of a step with `until`: its expression, their distance and bounds; `every`, `timeout` in seconds."""

    until: Condition
    every: float
    max_rounds: int
    timeout: float | None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step, with every decision that does not depend on a run.

    `literal` is the input as JSON when it contains no template. `timeout` in seconds. `on_error` is `fail`, `continue`
    or `steps`; the last one runs `handlers`. A step without a tool has a `body` or `branches`; `inner_names` are the
    names of inner steps that are visible outside. `foreach` renders the elements of a loop, `approval` the options of
    `needs_approval`. `otherwise` are the steps of `else`. A `plain` step is a single call without loop, wait or
    approval. `lookup` is the call that reports whether a call of an UNSAFE tool has happened. `secrets` are the secrets
    of the call.
    """

    id: str
    names: tuple[str, ...]
    uses: str
    kind: Kind
    tool: Tool | None
    condition: Condition | None
    input: Template
    literal: bytes | None
    check_input: Check | None
    check_output: Check | None
    timeout: float
    retry: RetryRule
    on_error: str
    handlers: "tuple[StepPlan, ...]"
    pure: bool
    body: "tuple[StepPlan, ...] | None" = None
    branches: "Mapping[str, tuple[StepPlan, ...]] | None" = None
    inner_names: tuple[str, ...] = ()
    foreach: Template | None = None
    max_parallel: int = 1
    tolerate: Tolerance | None = None
    rounds: RoundsPlan | None = None
    otherwise: "tuple[StepPlan, ...]" = ()
    approval: Template | None = None
    plain: bool = False
    lookup: "StepPlan | None" = None
    secrets: SecretUse | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline ready to run.

    `roots` are the root names that its expressions read, `timeout` and `deadline` in seconds, `semantics` the revision
    of the meaning of its expressions, `sensitive` the sensitive places of its tools by name. `final_steps` run at the
    end of the run, however it ends.
    """

    steps: tuple[StepPlan, ...]
    on_error: tuple[StepPlan, ...]
    output: Template | None
    timeout: float | None
    roots: frozenset[str]
    semantics: int
    sensitive: Mapping[str, Sensitive] = field(default_factory=dict)
    deadline: float | None = None
    final_steps: tuple[StepPlan, ...] = ()
