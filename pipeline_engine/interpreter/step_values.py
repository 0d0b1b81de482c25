"""The parts of one attempt without requests: rendering and checking its input, and checking its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ordinaut.expressions import Account, ExpressionError, Kind
from ordinaut.expressions.bounds import measure
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.failure import EXPRESSION, PAYLOAD_TOO_LARGE, VALIDATION_INPUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.data.template import Template
from pipeline_engine.language.plan import StepPlan

FEW_EXPRESSIONS = 8
"""Templates with at most this many expressions are serialised without a prior check of their size. Each expression
returns at most 1 MiB, so the memory is bounded; with more expressions, the size is measured and charged first."""


@dataclass(frozen=True, slots=True)
class Input:
    """A rendered input, and the same as JSON."""

    value: dict[str, Any]
    body: bytes


def render_input(step: StepPlan, roots: Mapping[str, Any], account: Account) -> Input | Failure:
    """Renders the step's input and checks it against the tool's input schema."""
    rendered = render(step.input, roots, account, step.literal)
    if isinstance(rendered, Failure):
        return rendered
    value, body = rendered
    if type(value) is not dict:
        return Failure(VALIDATION_INPUT, f"`with` must evaluate to an object, not {kind_of(value)}")
    problem = step.check_input(value) if step.check_input is not None else None
    if problem is not None:
        return Failure(VALIDATION_INPUT, problem[1], pointer=problem[0])
    return Input(value, body)


def render(
    template: Template, roots: Mapping[str, Any], account: Account, literal: bytes | None = None
) -> tuple[Any, bytes] | Failure:
    """Renders a template and returns its value, and the same as JSON; `literal` is that JSON if it is constant."""
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
    """Returns the step failure for an expression that could not be evaluated."""
    return Failure(PAYLOAD_TOO_LARGE if error.kind is Kind.LIMIT else EXPRESSION, error.message)


def check_output(step: StepPlan, value: Any) -> bytes | Failure:
    """Checks a tool's output against the tool's output schema and returns it as JSON."""
    problem = step.check_output(value) if step.check_output is not None else None
    if problem is not None:
        return Failure(VALIDATION_OUTPUT, problem[1], pointer=problem[0])
    try:
        return write(value)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else VALIDATION_OUTPUT, str(error))
