"""The `with` of a step: which parts the step renders, and which stay as they are written."""

from typing import Any

from ordinaut.expressions import ExpressionError, Kind, compile_expression
from ordinaut.expressions.semantics import CURRENT, FIRST
from pipeline_engine.data.template import Template, compile_template
from pipeline_engine.language.builtin_steps import literal_pipeline
from pipeline_engine.language.document import Step

WAIT_EVENT = "orchestrator.wait_event"
NOT_AN_OBJECT = f"`with` of {WAIT_EVENT} must be an object, not one expression; its values may be expressions"


def literal_parts(step: Step, semantics: int = CURRENT) -> dict[str, Any]:
    """Returns the members of the input that are not rendered.

    These are the pipeline of a child run, whose placeholders belong to that run, and the `match` of a wait for an
    event, because a value that is rendered into an expression becomes a part of it. The first revision of the
    semantics rendered it.
    """
    if (document := literal_pipeline(step)) is not None:
        return {"pipeline": document}
    match = step.input.get("match") if step.uses == WAIT_EVENT and isinstance(step.input, dict) else None
    return {"match": match} if isinstance(match, str) and semantics > FIRST else {}


def rendered_input(step: Step, semantics: int = CURRENT) -> Any:
    """Returns the part of the step's input that the step itself renders."""
    literal = literal_parts(step, semantics)
    return {key: value for key, value in step.input.items() if key not in literal} if literal else step.input


def input_template(step: Step, semantics: int = CURRENT) -> Template:
    """Compiles the template of the step's input.

    Raises:
        ExpressionError: a placeholder cannot be parsed, or computes an input that must be written as an object.
    """
    if step.uses == WAIT_EVENT and isinstance(step.input, str) and semantics > FIRST:
        raise ExpressionError(Kind.SYNTAX, NOT_AN_OBJECT)
    literal = literal_parts(step, semantics)
    own = compile_template(rendered_input(step, semantics), semantics)
    if not literal:
        return own
    if own.constant:
        return Template(lambda _roots, _account: step.input, constant=True, expressions=())
    return Template(lambda roots, account: {**own.render(roots, account), **literal}, own.constant, own.expressions)


def match_roots(step: Step) -> frozenset[str]:
    """Returns the names in the `match` of a wait; without those of an invalid expression, which fails the step."""
    match = step.input.get("match") if step.uses == WAIT_EVENT and isinstance(step.input, dict) else None
    names: frozenset[str] = frozenset()
    for text in [match] if isinstance(match, str) else match if isinstance(match, dict) else ():
        try:
            names |= compile_expression(text).names
        except ExpressionError:
            continue
    return names
