"""Checks a parsed pipeline before it is stored: all problems at once, with repairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.approval import check_approval
from pipeline_engine.language.builtin_steps import literal_pipeline
from pipeline_engine.language.document import MAX_ITERATIONS, MAX_STEPS, Document, Step
from pipeline_engine.language.findings import Findings
from pipeline_engine.language.loops import check_rounds
from pipeline_engine.language.parse import read_document
from pipeline_engine.language.references import Names, check_condition, check_match, check_value, reads_step
from pipeline_engine.language.step_input import NOT_AN_OBJECT, WAIT_EVENT, rendered_input
from pipeline_engine.tools.definition import BUILT_IN
from pipeline_engine.validation.context import ValidationContext
from pipeline_engine.validation.output_schemas import output_of_round, output_schema
from pipeline_engine.validation.scope import Scope, is_bounded
from pipeline_engine.validation.tool_use import check_tool_use, refuse_waits

ENDING = frozenset({"orchestrator.stop", "orchestrator.fail"})


@dataclass(slots=True)
class _Checker:
    """Walks the steps of one document.

    `hidden` maps each name inside a loop or branch to the enclosing step, `outputs` each name to the schema of its
    output.
    """

    context: ValidationContext
    findings: Findings
    tool_names: list[str]
    places_by_name: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def check_steps(self, steps: Sequence[Step], scope: Scope, around: tuple[str, ...] = ()) -> Scope:
        """Checks steps in order and returns the scope after them, in which their names are visible.

        `around` are the names of the enclosing steps and those after them, which have not run yet.
        """
        later = [*(name for step in steps for name in (*step.names, *step.inner_names)), *around]
        ending: Step | None = None
        for step in steps:
            if ending is not None:
                self.findings.warn(step.place, f"this step never runs: `{ending.id}` always ends the run before it")
                ending = None
            del later[: len(step.names) + len(step.inner_names)]
            self.outputs |= dict.fromkeys(step.names, output_schema(step, self.context.tools))
            self._check_step(step, scope, tuple(later))
            scope = scope.seeing((*step.names, *step.inner_names))
            if step.uses in ENDING and step.condition is None and step.on_error == "fail" and step.foreach is None:
                ending = step
        return scope

    def check_end(self, document: Document, scope: Scope) -> None:
        """Checks the output, the handlers and `finally` of the pipeline; `scope` is that after its last step."""
        if document.has_output:
            names = self._names(scope, (), in_step=False)
            check_value(document.output, document.place.key("output"), names, self.findings)
        self.check_steps(document.on_error, scope.handling())
        self.check_steps(document.final_steps, scope.ending())

    def _names(self, scope: Scope, later: tuple[str, ...], *, in_step: bool) -> Names:
        return Names(
            steps=scope.steps,
            later=later,
            inside=self.hidden,
            params=tuple(self.context.params),
            params_closed=self.context.params_closed,
            in_handler=scope.in_handler,
            in_finally=scope.in_finally,
            in_loop=scope.in_loop,
            in_step=in_step,
            outputs=self.outputs,
            outside=self.outside,
            params_schema=self.context.params_schema,
        )

    def _check_step(self, step: Step, scope: Scope, later: tuple[str, ...]) -> None:
        self._check_unique_names(step)
        names = self._names(scope, (*step.names, *step.inner_names, *later), in_step=True)
        if isinstance(step.condition, str):
            check_condition(step.condition, step.place.key("if"), names, self.findings)
        outer = scope
        if step.foreach is not None:
            self._check_foreach(step, names, outer)
            scope = scope.looping(bounded=is_bounded(step.foreach))
            names = replace(names, in_loop=True)
        if step.rounds is not None:  # a round sees the output of the round before
            self.outputs |= dict.fromkeys(step.names, output_of_round(step, self.context.tools))
            scope = scope.seeing(step.names)
            names = replace(names, steps=scope.steps)
        if step.uses:
            self._check_call(step, names)
        if scope.in_finally:
            refuse_waits(step, self.findings)
        own = (*step.names, *step.inner_names, *later)
        self._check_inner_steps(step, scope, own)
        if step.rounds is not None:
            check_rounds(step.rounds, step.place, self.findings)
            self._check_until(step, step.rounds.until, names)
        self.outputs |= dict.fromkeys(step.names, output_schema(step, self.context.tools))
        if step.otherwise:
            self.check_steps(step.otherwise, outer, own)
        if step.handlers:
            self.check_steps(step.handlers, outer.seeing((*step.names, *step.inner_names)).handling())

    def _check_until(self, step: Step, until: str, names: Names) -> None:
        """Checks the expression that ends a loop: it is evaluated after a round, with the names inside."""
        inside = tuple(name for inner in step.body or () for name in (*inner.names, *inner.inner_names))
        place = step.place.key("until")
        check_condition(until, place, replace(names, steps=(*names.steps, *inside)), self.findings)
        if not reads_step(until, {*step.names, *inside}):
            example = f"steps.{step.id}.status == 'done'"
            self.findings.warn(place, f"`until` does not read the result of the rounds, as in {example}")

    def _check_call(self, step: Step, names: Names) -> None:
        with_secrets = replace(names, with_secrets=not step.uses.startswith(BUILT_IN))
        self._check_input(step, with_secrets)
        check_tool_use(step, self.context.tools, self.tool_names, self.findings)
        self._check_literal_pipeline(step)
        check_approval(step, names, self.findings)

    def _check_input(self, step: Step, names: Names) -> None:
        where, value = step.place.key("with"), rendered_input(step)
        if step.uses == WAIT_EVENT and isinstance(step.input, dict) and "match" in step.input:
            value = {key: item for key, item in value.items() if key != "match"}
            check_match(step.input["match"], where.key("match"), names, self.findings)
        elif step.uses == WAIT_EVENT and isinstance(step.input, str):
            self.findings.problem(where, NOT_AN_OBJECT, ErrorReason.TOOL_INPUT_INVALID)
        check_value(value, where, names, self.findings)

    def _check_literal_pipeline(self, step: Step) -> None:
        """Checks a literal pipeline of a child run as a separate document; its params are unknown here."""
        pipeline = literal_pipeline(step)
        if pipeline is None:
            return
        document = read_document(pipeline, step.place.key("with").key("pipeline"), self.findings)
        if document is not None:
            check(document, replace(self.context, params=(), params_closed=False, params_schema=None), self.findings)

    def _check_foreach(self, step: Step, names: Names, scope: Scope) -> None:
        place = step.place.key("foreach")
        if isinstance(step.foreach, str):
            check_condition(step.foreach, place, names, self.findings, strict=True)
        else:
            check_value(step.foreach, place, names, self.findings)
        if scope.in_unbounded_loop and not is_bounded(step.foreach):
            self.findings.warn(
                place,
                f"nested loops over lists of unknown length: a run fails beyond {MAX_ITERATIONS} iterations; "
                "bound a list with a slice such as `[:20]`",
            )

    def _check_inner_steps(self, step: Step, scope: Scope, around: tuple[str, ...]) -> None:
        branches = list((step.branches or {}).values())
        for steps in ([] if step.body is None else [step.body]) + branches:
            self.check_steps(steps, scope, around)
        hidden = [step.body, *branches] if step.body is not None and step.is_repeated else branches
        if not step.id.startswith("?"):
            names = [name for steps in hidden for inner in steps for name in (*inner.names, *inner.inner_names)]
            self.hidden.update(dict.fromkeys(names, step.id))
            self.outside.update(_visible_outside(step))

    def _check_unique_names(self, step: Step) -> None:
        keys = ["id"] if step.names == (step.id,) else ["id", "save_as"]
        for key, name in zip(keys, step.names, strict=True):
            if name not in self.places_by_name:
                self.places_by_name[name] = step.place.field
                continue
            if name.startswith("?"):
                continue
            candidates = (f"{name[:58]}_{number}" for number in range(2, 2 * MAX_STEPS))
            free = next(candidate for candidate in candidates if candidate not in self.places_by_name)
            where = step.place.key(key)
            is_read = self.findings.mentions(rf"\bsteps\.{name}\b")  # of which step, only the author knows
            self.findings.problem(
                where,
                f"the name `{name}` is already used by {self.places_by_name[name]}",
                ErrorReason.DUPLICATE_STEP,
                None if is_read else (f"Renames it to `{free}`.", [where.replace(free)]),
            )
            self.places_by_name[free] = step.place.field


def _visible_outside(step: Step) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the names inside a step whose output is a part of its own, with the path of that part below `steps`.

    A block that is repeated until a condition has the output of its last step, and so has a branch. The output of a
    loop over elements is a list.
    """
    if step.foreach is not None:
        return
    if step.rounds is not None and step.body:
        yield from ((name, (step.id,)) for name in step.body[-1].names)
    for branch, steps in (step.branches or {}).items():
        if steps:
            yield from ((name, (step.id, branch)) for name in steps[-1].names)


def check(document: Document, context: ValidationContext, findings: Findings) -> None:
    """Reports every problem of a parsed document."""
    count = sum(1 for _ in document.all_steps())
    if count > MAX_STEPS:
        message = f"a pipeline must have at most {MAX_STEPS} steps (got {count})"
        findings.problem(document.place.key("steps"), message, ErrorReason.TOO_MANY_STEPS)
        return
    checker = _Checker(context, findings, context.all_tool_names())
    scope = checker.check_steps(document.steps, Scope())
    checker.check_end(document, scope)


def tools_of(document: Document) -> list[str]:
    """Returns the names of the tools that the document uses, sorted."""
    return sorted({step.uses for step in document.all_steps() if step.uses})
