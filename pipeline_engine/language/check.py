"""Everything about a pipeline that can be known before it runs: all problems at once, with their repairs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.document import MAX_STEPS, Document, Step
from pipeline_engine.language.findings import Findings, Place, nearest
from pipeline_engine.language.inputs import check_input
from pipeline_engine.language.references import Names, check_condition, check_value

LATER_TOOLS = frozenset({"wait", "wait_event", "request_approval", "run_task", "run_pipeline"})
ENDING = frozenset({"orchestrator.stop", "orchestrator.fail"})


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

    def sequence(self, steps: Sequence[Step], visible: tuple[str, ...], *, in_handler: bool) -> None:
        """Checks steps in their order; what a step is called is visible to the later ones."""
        later = [name for step in steps for name in step.names]
        ended: Step | None = None
        for step in steps:
            if ended is not None:
                self.findings.warn(step.place, f"never runs: `{ended.id}` always ends the run before it")
                ended = None
            del later[: len(step.names)]
            names = self._names(visible, (*step.names, *later), in_handler=in_handler, in_step=True)
            self._step(step, names)
            visible = (*visible, *step.names)
            if step.uses in ENDING and step.condition is None and step.on_error == "fail":
                ended = step

    def _names(self, visible: tuple[str, ...], later: tuple[str, ...], *, in_handler: bool, in_step: bool) -> Names:
        return Names(
            steps=visible,
            later=later,
            params=tuple(self.surroundings.params),
            params_closed=self.surroundings.params_closed,
            in_handler=in_handler,
            in_step=in_step,
        )

    def _step(self, step: Step, names: Names) -> None:
        self._unique(step)
        if isinstance(step.condition, str):
            check_condition(step.condition, step.place.key("if"), names, self.findings)
        check_value(step.input, step.place.key("with"), names, self.findings)
        self._tool(step)
        if step.handlers:
            self.sequence(step.handlers, (*names.steps, *step.names), in_handler=True)

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
        tool = self.surroundings.tools.get(step.uses)
        if tool is not None:
            check_input(step.input, tool.get("input_schema"), step.place.key("with"), step.uses, self.findings)
        elif step.uses and step.uses not in self.tool_names:
            self._unknown_tool(step)

    def _unknown_tool(self, step: Step) -> None:
        where = step.place.key("uses")
        namespace, _, word = step.uses.rpartition(".")
        if namespace == "orchestrator" and word in LATER_TOOLS:
            self.findings.problem(where, f"{step.uses} is not in this version", ErrorReason.UNKNOWN_TOOL)
            return
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

    def ends(self, document: Document) -> None:
        """Checks what belongs to the whole pipeline: its output and its handlers."""
        visible = tuple(name for step in document.steps for name in step.names)
        if document.has_output:
            names = self._names(visible, (), in_handler=False, in_step=False)
            check_value(document.output, document.place.key("output"), names, self.findings)
        self.sequence(document.on_error, visible, in_handler=True)


def check(document: Document, surroundings: Surroundings, findings: Findings) -> None:
    """Notes every problem of a document that was read."""
    count = sum(1 for _ in document.all_steps())
    if count > MAX_STEPS:
        findings.problem(
            _steps_place(document), f"a pipeline has at most {MAX_STEPS} steps", ErrorReason.TOO_MANY_STEPS
        )
        return
    checker = _Checker(surroundings, findings, surroundings.known_names())
    checker.sequence(document.steps, (), in_handler=False)
    checker.ends(document)


def _steps_place(document: Document) -> Place:
    return document.place.key("steps")


def tools_of(document: Document) -> list[str]:
    """The names of the tools that the document uses, sorted."""
    return sorted({step.uses for step in _used(document)})


def _used(document: Document) -> Iterator[Step]:
    return (step for step in document.all_steps() if step.uses)
