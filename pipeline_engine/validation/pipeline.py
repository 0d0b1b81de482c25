"""Everything about a pipeline that can be known before it runs: all problems at once, with their repairs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.approval import APPROVAL, check_approval
from pipeline_engine.language.children import awaits_child, check_child, own_input, written_pipeline
from pipeline_engine.language.document import MAX_STEPS, Document, Step
from pipeline_engine.language.findings import Findings, Place, nearest
from pipeline_engine.language.inputs import check_input
from pipeline_engine.language.parse import read_document
from pipeline_engine.language.references import Names, check_condition, check_value
from pipeline_engine.language.wait_times import check_wait
from pipeline_engine.tools.definition import BUILT_IN, UNSAFE
from pipeline_engine.tools.lookup_check import lookup_problem
from pipeline_engine.validation.scope import Scope, is_bounded

TIMER = "orchestrator.wait"
ENDING = frozenset({"orchestrator.stop", "orchestrator.fail"})
WAITING = frozenset({TIMER, "orchestrator.wait_event", APPROVAL})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pipeline is checked against: tools by name, every name to suggest, and the names under `params`.

    `params_closed` says that there can be no others.
    """

    tools: Mapping[str, Mapping[str, Any]]
    tool_names: Sequence[str] = ()
    params: Sequence[str] = ()
    params_closed: bool = False

    def known_names(self) -> list[str]:
        """The names of all tools that may be suggested."""
        return sorted({*self.tools, *self.tool_names})


@dataclass(slots=True)
class _Checker:
    surroundings: Surroundings
    findings: Findings
    tool_names: list[str]
    taken: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)

    def sequence(self, steps: Sequence[Step], scope: Scope) -> Scope:
        """Checks steps in their order; gives the scope behind them, where what they are called is visible."""
        later = [name for step in steps for name in (*step.names, *step.inner_names)]
        ended: Step | None = None
        for step in steps:
            if ended is not None:
                self.findings.warn(step.place, f"never runs: `{ended.id}` always ends the run before it")
                ended = None
            del later[: len(step.names) + len(step.inner_names)]
            self._step(step, scope, tuple(later))
            scope = scope.seeing((*step.names, *step.inner_names))
            if step.uses in ENDING and step.condition is None and step.on_error == "fail" and step.foreach is None:
                ended = step
        return scope

    def _names(self, scope: Scope, later: tuple[str, ...], *, in_step: bool) -> Names:
        return Names(
            steps=scope.steps,
            later=later,
            inside=self.inside,
            params=tuple(self.surroundings.params),
            params_closed=self.surroundings.params_closed,
            in_handler=scope.in_handler,
            in_loop=scope.in_loop,
            in_step=in_step,
        )

    def _step(self, step: Step, scope: Scope, later: tuple[str, ...]) -> None:
        self._unique(step)
        names = self._names(scope, (*step.names, *step.inner_names, *later), in_step=True)
        if isinstance(step.condition, str):
            check_condition(step.condition, step.place.key("if"), names, self.findings)
        around = scope
        if step.foreach is not None:
            self._foreach(step, names, around)
            scope = scope.looping(bounded=is_bounded(step.foreach))
            names = replace(names, in_loop=True)
        if step.uses:
            called = replace(names, with_secrets=not step.uses.startswith(BUILT_IN))
            check_value(own_input(step), step.place.key("with"), called, self.findings)
            self._tool(step)
            self._inner(step)
            check_approval(step, names, self.findings)
        self._block(step, scope)
        if step.handlers:
            self.sequence(step.handlers, around.seeing((*step.names, *step.inner_names)).handling())

    def _inner(self, step: Step) -> None:
        """The pipeline that the step runs, where it is written: a document of its own, with params of its own."""
        written = written_pipeline(step)
        if written is None:
            return
        document = read_document(written, step.place.key("with").key("pipeline"), self.findings)
        if document is not None:
            check(document, replace(self.surroundings, params=(), params_closed=False), self.findings)

    def _foreach(self, step: Step, names: Names, scope: Scope) -> None:
        place = step.place.key("foreach")
        if isinstance(step.foreach, str):
            check_condition(step.foreach, place, names, self.findings, strict=True)
        else:
            check_value(step.foreach, place, names, self.findings)
        if scope.in_unbounded_loop and not is_bounded(step.foreach):
            self.findings.warn(
                place,
                "a loop in a loop, both over lists of any length: more than 10000 iterations fail; "
                "a slice such as `[:20]` bounds a list",
            )

    def _block(self, step: Step, scope: Scope) -> None:
        if step.body is not None:
            self.sequence(step.body, scope)
            if step.foreach is not None:
                self._hide(step.body, step)
        for steps in (step.branches or {}).values():
            self.sequence(steps, scope)
        for steps in (step.branches or {}).values():
            self._hide(steps, step)

    def _hide(self, steps: Sequence[Step], owner: Step) -> None:
        """What these steps are called is known inside of `owner` only."""
        hidden = [name for step in steps for name in (*step.names, *step.inner_names)]
        if not owner.id.startswith("?"):
            self.inside.update(dict.fromkeys(hidden, owner.id))

    def _unique(self, step: Step) -> None:
        keys = ["id"] if step.names == (step.id,) else ["id", "save_as"]
        for key, name in zip(keys, step.names, strict=True):
            if name not in self.taken:
                self.taken[name] = step.place.field
                continue
            if name.startswith("?"):
                continue
            free = next(
                made for number in range(2, 2 * MAX_STEPS) if (made := f"{name[:58]}_{number}") not in self.taken
            )
            where = step.place.key(key)
            self.findings.problem(
                where,
                f"`{name}` is taken by {self.taken[name]}",
                ErrorReason.DUPLICATE_STEP,
                (f"Calls it `{free}`.", [where.replace(free)]),
            )
            self.taken[free] = step.place.field

    def _tool(self, step: Step) -> None:
        if step.uses in WAITING or awaits_child(step):
            self._wait(step)
        check_child(step, self.findings)
        tool = self.surroundings.tools.get(step.uses)
        if tool is not None:
            check_input(step.input, tool.get("input_schema"), step.place.key("with"), step.uses, self.findings)
            if step.uses == TIMER:
                check_wait(step.input, step.place.key("with"), self.findings)
            self._lookup(step, tool)
        elif step.uses and step.uses not in self.tool_names:
            self._unknown_tool(step)

    def _lookup(self, step: Step, tool: Mapping[str, Any]) -> None:
        """What may have happened must be found out: by the tool's lookup, else by a person."""
        problem = lookup_problem(tool, self.surroundings.tools)
        where = step.place.key("uses")
        if problem is not None:
            self.findings.problem(where, f"{step.uses} cannot be used: {problem}", ErrorReason.UNKNOWN_TOOL)
        elif tool.get("effect") == UNSAFE and not tool.get("lookup"):
            cost = "a call whose answer is lost fails with OUTCOME_UNKNOWN"
            self.findings.warn(where, f"{step.uses} is {UNSAFE} and has no lookup: {cost}")

    def _wait(self, step: Step) -> None:
        """A wait is not tried again, and how long it takes stands in its input, or in what it waits for."""
        for key in [name for name, value in (("timeout", step.timeout), ("retry", step.retry)) if value is not None]:
            where = "the run that it starts has its own" if awaits_child(step) else "how long to wait stands in `with`"
            message = f"`{key}` belongs to tools that are called; {where}"
            self.findings.problem(step.place.key(key), message, fix=("Takes it away.", [step.place.key(key).remove()]))

    def _unknown_tool(self, step: Step) -> None:
        where = step.place.key("uses")
        word = step.uses.rpartition(".")[2]
        same_word = [name for name in self.tool_names if name.rpartition(".")[2] == word]
        near = same_word[0] if len(same_word) == 1 else nearest(step.uses, self.tool_names)
        if near is None:
            self.findings.problem(where, f"there is no tool {step.uses[:128]!r}", ErrorReason.UNKNOWN_TOOL)
            return
        self.findings.problem(
            where,
            f"there is no tool {step.uses[:128]!r}; did you mean {near}?",
            ErrorReason.UNKNOWN_TOOL,
            (f"Uses {near}.", [where.replace(near)]),
        )

    def ends(self, document: Document, behind: Scope) -> None:
        """Checks what belongs to the whole pipeline: its output and its handlers."""
        if document.has_output:
            names = self._names(behind, (), in_step=False)
            check_value(document.output, document.place.key("output"), names, self.findings)
        self.sequence(document.on_error, behind.handling())


def check(document: Document, surroundings: Surroundings, findings: Findings) -> None:
    """Notes every problem of a document that was read."""
    count = sum(1 for _ in document.all_steps())
    if count > MAX_STEPS:
        findings.problem(
            _steps_place(document), f"a pipeline has at most {MAX_STEPS} steps", ErrorReason.TOO_MANY_STEPS
        )
        return
    checker = _Checker(surroundings, findings, surroundings.known_names())
    behind = checker.sequence(document.steps, Scope())
    checker.ends(document, behind)


def _steps_place(document: Document) -> Place:
    return document.place.key("steps")


def tools_of(document: Document) -> list[str]:
    """The names of the tools that the document uses, sorted."""
    return sorted({step.uses for step in _used(document)})


def _used(document: Document) -> Iterator[Step]:
    return (step for step in document.all_steps() if step.uses)
