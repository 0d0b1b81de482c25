"""Compiles a document and its tools into a plan."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import orjson

from ordinaut.expressions import Expression, ExpressionError, compile_expression
from ordinaut.expressions.semantics import CURRENT
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.data.schemas import Check, compile_schema, requires_only_object
from pipeline_engine.data.template import Template, compile_template
from pipeline_engine.language.builtin_steps import waits_for_child
from pipeline_engine.language.document import DEFAULT_PARALLEL, Document, RetryRule, Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.parse import parse
from pipeline_engine.language.plan import Condition, Plan, RoundsPlan, StepPlan
from pipeline_engine.language.references import condition_expression
from pipeline_engine.language.secret_places import SecretPlace, SecretUse, conceal
from pipeline_engine.language.step_input import input_template, match_roots
from pipeline_engine.tools.definition import (
    CALLED,
    DEFAULT_TIMEOUT_SECONDS,
    PURE,
    READ,
    Kind,
    Tool,
    read_proto_retry,
    read_tool,
)

DEFAULT_RETRY = RetryRule(max=2)
NO_RETRY = RetryRule(max=0)
NOTHING = compile_template({})


class PlanError(ValueError):
    """A stored definition cannot be executed, for example because it was written for another version."""


def compile_plan(
    pipeline: bytes,
    tools: Sequence[bytes],
    denied: Sequence[str],
    retry: bytes,
    *,
    project: str = "",
    secrets: Sequence[str] = (),
    semantics: int = 0,
    deadline_ms: int = 0,
    revoked: Sequence[str] = (),
) -> Plan:
    """Compiles a definition; the arguments are JSON and names as in `ordinaut.internal.v1.Definition`.

    Raises:
        PlanError: the document, an expression in it or a tool's schema is invalid.
    """
    findings = Findings()
    document = parse(pipeline, findings)
    if document is None or findings.violations:
        problem = findings.violations[0]
        raise PlanError(f"{problem.field}: {problem.message}")
    try:
        by_name = {tool.name: tool for tool in (read_tool(orjson.loads(text)) for text in tools)}
        default = read_proto_retry(orjson.loads(retry)) if retry else None
        compiler = _Compiler(
            by_name,
            frozenset(denied),
            default or DEFAULT_RETRY,
            project,
            frozenset(secrets),
            semantics or CURRENT,
            frozenset(revoked),
        )
        return compiler.plan(document, deadline_ms)
    except (ExpressionError, PayloadError, ValueError) as failure:
        raise PlanError(str(failure)) from failure


@dataclass(slots=True)
class _Compiler:
    tools: Mapping[str, Tool]
    denied: Set[str]
    default_retry: RetryRule
    project: str
    secrets: Set[str]
    semantics: int
    revoked: Set[str]
    roots: set[str] = field(default_factory=set)
    checks: dict[tuple[str, str], Check | None] = field(default_factory=dict)

    def plan(self, document: Document, deadline_ms: int) -> Plan:
        """Compiles the whole document; `deadline_ms` is the deadline of the task's runs, 0 without one."""
        steps = self._steps(document.steps)
        on_error = self._steps(document.on_error)
        output = self._template(document.output) if document.has_output else None
        sensitive = {name: tool.sensitive for name, tool in self.tools.items() if tool.sensitive is not None}
        final_steps = self._steps(document.final_steps)
        deadlines = [limit for limit in (document.deadline, deadline_ms / 1000) if limit]
        return Plan(
            steps,
            on_error,
            output,
            document.timeout,
            frozenset(self.roots),
            self.semantics,
            sensitive,
            deadline=min(deadlines, default=None),
            final_steps=final_steps,
        )

    def _step(self, step: Step) -> StepPlan:
        if not step.uses:
            return self._block(step)
        tool = self.tools.get(step.uses)
        kind = self._kind(step, tool)
        value, places = conceal(step.input) if kind in CALLED else (None, ())
        template = compile_template(value, self.semantics) if places else input_template(step, self.semantics)
        self._collect_roots(template.expressions)
        self.roots |= match_roots(step)
        return self._tool_step(step, tool, kind, template, places)

    def _tool_step(
        self, step: Step, tool: Tool | None, kind: Kind, template: Template, places: tuple[SecretPlace, ...] = ()
    ) -> StepPlan:
        """Compiles a step that calls a tool."""
        retry = step.retry or (tool.retry if tool else None) or self.default_retry
        # `orchestrator.fail` is repeated only by a rule that lists its code.
        pure = kind in PURE and not (kind is Kind.FAIL and retry.codes)
        return StepPlan(
            id=step.id,
            names=step.names,
            uses=step.uses,
            kind=kind,
            tool=tool,
            condition=self._condition(step.condition),
            input=template,
            literal=write(step.input) if template.constant else None,
            check_input=self._check(tool, "input_schema"),
            check_output=self._check(tool, "output_schema") if kind in CALLED else None,
            timeout=step.timeout or (tool.timeout if tool else None) or DEFAULT_TIMEOUT_SECONDS,
            retry=NO_RETRY if pure or kind is Kind.WAIT else retry,
            on_error="steps" if step.handlers else str(step.on_error),
            handlers=self._steps(step.handlers),
            pure=pure,
            approval=self._approval(step),
            plain=not step.is_repeated and kind is not Kind.WAIT and step.needs_approval is None,
            **self._repetition(step),
            lookup=self._lookup(tool) if tool is not None and kind is Kind.UNSAFE else None,
            secrets=self._secrets(tool, places),
        )

    def _secrets(self, tool: Tool | None, places: tuple[SecretPlace, ...]) -> SecretUse | None:
        if not places and (tool is None or tool.http is None or tool.http.auth is None):
            return None
        named = frozenset(name for place in places for name in place.names)
        return SecretUse(self.project, places, named - self.secrets, tool is not None and tool.name in self.revoked)

    def _lookup(self, tool: Tool) -> StepPlan | None:
        """Compiles the call that reports whether a call has happened; None without a usable READ tool for it."""
        target = self.tools.get(tool.lookup.uses) if tool.lookup else None
        if tool.lookup is None or target is None or target.kind is not Kind.HTTP or target.effect != READ:
            return None
        retry = target.retry or DEFAULT_RETRY
        step = Step(id="lookup", place=Place(), uses=target.name, input=tool.lookup.arguments, retry=retry)
        return self._tool_step(step, target, target.kind, compile_template(step.input, self.semantics))

    def _kind(self, step: Step, tool: Tool | None) -> Kind:
        if step.uses in self.denied:
            return Kind.DENIED
        if waits_for_child(step):
            return Kind.WAIT
        return tool.kind if tool else Kind.UNKNOWN

    def _block(self, step: Step) -> StepPlan:
        """Compiles a step that contains steps instead of calling a tool."""
        branches = step.branches
        return StepPlan(
            id=step.id,
            names=step.names,
            uses="",
            kind=Kind.BLOCK,
            tool=None,
            condition=self._condition(step.condition),
            input=NOTHING,
            literal=None,
            check_input=None,
            check_output=None,
            timeout=DEFAULT_TIMEOUT_SECONDS,
            retry=NO_RETRY,
            on_error="steps" if step.handlers else str(step.on_error),
            handlers=self._steps(step.handlers),
            pure=False,
            body=None if step.body is None else self._steps(step.body),
            branches=None if branches is None else {name: self._steps(steps) for name, steps in branches.items()},
            **self._repetition(step),
        )

    def _repetition(self, step: Step) -> dict[str, Any]:
        """Compiles the fields of a plan that steps with and without a tool have in common."""
        rounds = step.rounds
        return {
            "inner_names": step.inner_names,
            "foreach": self._elements(step),
            "max_parallel": step.max_parallel or DEFAULT_PARALLEL,
            "tolerate": step.tolerate,
            "otherwise": self._steps(step.otherwise),
            "rounds": None
            if rounds is None
            else RoundsPlan(self._expression(rounds.until), rounds.every, rounds.bound, rounds.timeout),
        }

    def _steps(self, steps: Sequence[Step]) -> tuple[StepPlan, ...]:
        return tuple(self._step(step) for step in steps)

    def _elements(self, step: Step) -> Template | None:
        foreach = step.foreach
        if isinstance(foreach, str):
            foreach = f"${{{condition_expression(foreach)}}}"
        return None if foreach is None else self._template(foreach)

    def _approval(self, step: Step) -> Template | None:
        if step.needs_approval is None:
            return None
        return self._template({"message": f"May {step.id} call {step.uses}?", **step.needs_approval})

    def _template(self, value: Any) -> Template:
        template = compile_template(value, self.semantics)
        self._collect_roots(template.expressions)
        return template

    def _condition(self, condition: str | bool | None) -> Condition | None:
        if condition is None or condition is True:
            return None
        if condition is False:
            return lambda _roots, _account: False
        return self._expression(condition)

    def _expression(self, text: str) -> Condition:
        expression = compile_expression(condition_expression(text), semantics=self.semantics)
        self._collect_roots((expression,))
        return expression.holds

    def _collect_roots(self, expressions: Sequence[Expression]) -> None:
        for expression in expressions:
            self.roots.update(expression.names)

    def _check(self, tool: Tool | None, key: str) -> Check | None:
        schema = getattr(tool, key) if tool else None
        if tool is None or (key == "input_schema" and requires_only_object(schema)):
            return None
        place = (tool.name, key)
        if place not in self.checks:
            self.checks[place] = compile_schema(schema, is_trusted=tool.kind not in CALLED)
        return self.checks[place]
