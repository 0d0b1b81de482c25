"""Warns of sensitive inputs whose values are stored readably before the run: in params, an event or the document."""

from collections.abc import Iterator, Mapping
from typing import Any

from ordinaut.expressions import ExpressionError
from ordinaut.json_places import place_of, replaced
from pipeline_engine.data.template import compile_template
from pipeline_engine.language.document import Step
from pipeline_engine.language.findings import Findings

READABLE = ("params", "event")
ADVICE = "is sensitive in this tool; use `${secrets.NAME}` for it"


def warn_of_readable_inputs(step: Step, tool: Mapping[str, Any], findings: Findings) -> None:
    """Reports literal values, and references to params or the event, at the sensitive places of an input."""
    for pointer in tool.get("sensitive") or ():
        side, *place = place_of(pointer)
        if side != "input":
            continue
        values: list[Any] = []
        replaced(step.input, place, values.append)
        for source in dict.fromkeys(source for value in values for source in _sources(value)):
            where = step.place.key("with").below(pointer.removeprefix("/input"))
            findings.warn(where, f"{source} is stored readably, but `{pointer}` {ADVICE}")


def _sources(value: Any) -> Iterator[str]:
    try:
        template = compile_template(value)
    except ExpressionError:  # reported elsewhere
        return
    if template.constant:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            yield "the document"
        return
    roots = {str(path[0]) for expression in template.expressions for path in expression.references}
    yield from (f"`{root}`" for root in READABLE if root in roots)
