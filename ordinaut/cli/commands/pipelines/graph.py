"""Draws pipelines as Mermaid flowcharts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ESCAPES = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "'", "\n": " "}
MAX_LABEL = 60


def mermaid(pipeline: Mapping[str, Any]) -> str:
    """The flowchart of a pipeline document; invalid parts of the document are omitted."""
    drawing = _Drawing()
    drawing.lines.append("flowchart TD")
    ends = drawing.sequence(_steps(pipeline.get("steps")), ["start"], "    ")
    for node in ends:
        drawing.link(node, "done", "    ")
    drawing.lines += ["    start((start))", "    done((end))"]
    handlers = _steps(pipeline.get("on_error"))
    if handlers:
        drawing.lines.append("    failed{{failed}}")
        drawing.sequence(handlers, ["failed"], "    ")
    final_steps = _steps(pipeline.get("finally"))
    if final_steps:
        drawing.lines.append("    finally{{finally}}")
        drawing.sequence(final_steps, ["finally"], "    ")
    return "\n".join(drawing.lines) + "\n"


class _Drawing:
    """Builds the lines of a flowchart: a step is a node `n1`, `n2`, …; a block is a subgraph."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def sequence(self, steps: Sequence[Mapping[str, Any]], before: list[str], indent: str) -> list[str]:
        """Draws steps after the nodes `before`; returns the last nodes."""
        for step in steps:
            node = self._node()
            blocks = list(_blocks(step))
            if blocks:
                self._block(node, step, blocks, indent)
            else:
                self.lines.append(f'{indent}{node}["{_label(step)}"]')
            for previous in before:
                self.link(previous, node, indent, str(step.get("if") or ""))
            self._handlers(node, step, indent)
            before = [node, *self._otherwise(before, step, indent)]
        return before

    def _otherwise(self, before: list[str], step: Mapping[str, Any], indent: str) -> list[str]:
        """Draws the steps of `else`, after the nodes before the step; returns the last nodes."""
        steps = _steps(step.get("else"))
        if not steps:
            return []
        first = f"n{self._count + 1}"
        ends = self.sequence(steps, [], indent)
        for previous in before:
            self.link(previous, first, indent, "else")
        return ends

    def _block(self, node: str, step: Mapping[str, Any], blocks: Sequence[tuple[str, Any]], indent: str) -> None:
        self.lines.append(f'{indent}subgraph {node}["{_label(step)}"]')
        for name, steps in blocks:
            deeper = indent + "    "
            if name:
                self.lines.append(f'{deeper}subgraph {node}_{self._node()}["{_escaped(name)}"]')
            self.sequence(_steps(steps), [], deeper + ("    " if name else ""))
            if name:
                self.lines.append(f"{deeper}end")
        self.lines.append(f"{indent}end")

    def _handlers(self, node: str, step: Mapping[str, Any], indent: str) -> None:
        handlers = _steps(step.get("on_error"))
        if handlers:
            first = f"n{self._count + 1}"
            self.sequence(handlers, [], indent)
            self.lines.append(f"{indent}{node} -. on error .-> {first}")

    def link(self, source: str, target: str, indent: str, condition: str = "") -> None:
        """Draws an arrow, labelled with its condition."""
        arrow = f'-->|"{_escaped(condition)}"|' if condition else "-->"
        self.lines.append(f"{indent}{source} {arrow} {target}")

    def _node(self) -> str:
        self._count += 1
        return f"n{self._count}"


def _steps(value: Any) -> list[Mapping[str, Any]]:
    return [step for step in value if isinstance(step, Mapping)] if isinstance(value, list) else []


def _blocks(step: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if _steps(step.get("do")):
        yield "", step["do"]
    arguments = step.get("with")
    if step.get("uses") == "orchestrator.run_pipeline" and isinstance(arguments, Mapping):
        document = arguments.get("pipeline")
        steps = document.get("steps") if isinstance(document, Mapping) else document
        if _steps(steps):
            yield "", steps
    branches = step.get("branches")
    if isinstance(branches, Mapping):
        yield from ((str(name), steps) for name, steps in branches.items())


def _label(step: Mapping[str, Any]) -> str:
    words = [str(step.get("name") or step.get("id") or "?")]
    if step.get("uses"):
        words.append(str(step["uses"]))
        words += _started(step)
    if "foreach" in step:
        words.append(f"for each of {step['foreach']}")
    if "tolerate" in step:
        words.append(f"tolerates {step['tolerate']}")
    if "until" in step:
        words.append(f"every {step.get('every', '?')} until {step['until']}")
    if step.get("needs_approval"):
        words.append("needs approval")
    return "<br/>".join(_escaped(word) for word in words)


def _started(step: Mapping[str, Any]) -> Iterator[str]:
    """A label with the task that a step starts, and whether the step waits for it."""
    arguments = step.get("with")
    if step["uses"] == "orchestrator.run_task" and isinstance(arguments, Mapping) and arguments.get("task"):
        yield f"{'waits for' if arguments.get('wait') is True else 'starts'} {arguments['task']}"


def _escaped(text: str) -> str:
    visible = text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"
    return "".join(ESCAPES.get(character, character) for character in visible)
