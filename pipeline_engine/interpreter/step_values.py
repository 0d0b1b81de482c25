"""The parts of one attempt that ask nobody: rendering and checking its input, checking its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ordinaut.expressions import Account, ExpressionError, Kind
from ordinaut.expressions.bounds import measure
from pipeline_engine.data.failure import EXPRESSION, PAYLOAD_TOO_LARGE, VALIDATION_INPUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.data.template import Template
from pipeline_engine.language.plan import StepPlan

FEW_EXPRESSIONS = 8
"""So many values of 1 MiB each may be written before their size is known; with more, it is measured first."""


@dataclass(frozen=True, slots=True)
class Input:
    """A rendered input and the same as JSON."""

    value: dict[str, Any]
    body: bytes


def render_input(step: StepPlan, roots: Mapping[str, Any], account: Account) -> Input | Failure:
    """The step's input, rendered and fitting its tool."""
    rendered = render(step.input, roots, account, step.literal)
    if isinstance(rendered, Failure):
        return rendered
    value, body = rendered
    if type(value) is not dict:
        return Failure(VALIDATION_INPUT, "`with` gave no object")
    problem = step.check_input(value) if step.check_input is not None else None
    if problem is not None:
        return Failure(VALIDATION_INPUT, problem[1], pointer=problem[0])
    return Input(value, body)


def render(
    template: Template, roots: Mapping[str, Any], account: Account, literal: bytes | None = None
) -> tuple[Any, bytes] | Failure:
    """A template's value, and the same as JSON; `literal` is that JSON where it is known."""
    try:
        value = template.render(roots, account)
        if literal is not None:
            return value, literal
        if len(template.expressions) > FEW_EXPRESSIONS:
            account.spend(measure(value)[1])
        return value, write(value)
    except ExpressionError as error:
        return expression_failure(error)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else EXPRESSION, str(error))


def expression_failure(error: ExpressionError) -> Failure:
    """An expression that gave no value."""
    return Failure(PAYLOAD_TOO_LARGE if error.kind is Kind.LIMIT else EXPRESSION, error.message)


def check_output(step: StepPlan, value: Any) -> bytes | Failure:
    """A tool's answer as JSON, once it fits the tool's output schema."""
    problem = step.check_output(value) if step.check_output is not None else None
    if problem is not None:
        return Failure(VALIDATION_OUTPUT, problem[1], pointer=problem[0])
    try:
        return write(value)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else VALIDATION_OUTPUT, str(error))
