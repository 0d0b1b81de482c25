"""The parts of one attempt without requests: rendering and checking its input, and checking its output."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ordinaut.expressions import Account, ExpressionError, Kind
from ordinaut.expressions.bounds import measure
from ordinaut.limits import MAX_JSON_BYTES
from pipeline_engine.data.describe import kind_of
from pipeline_engine.data.failure import EXPRESSION, PAYLOAD_TOO_LARGE, VALIDATION_INPUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.data.payload import PayloadError, write
from pipeline_engine.data.schemas import Check
from pipeline_engine.data.template import Template
from pipeline_engine.interpreter.requests import CheckValue, Output
from pipeline_engine.language.plan import StepPlan

FEW_EXPRESSIONS = 8
"""Templates with at most this many expressions are serialised without a prior check of their size. Each expression
returns at most 1 MiB, so the memory is bounded; with more expressions, the size is measured and charged first."""


@dataclass(frozen=True, slots=True)
class Input:
    """A rendered input, and the same as JSON; `unchecked` is its check if that belongs into another process."""

    value: dict[str, Any]
    body: bytes
    unchecked: Check | None = None


def render_input(step: StepPlan, roots: Mapping[str, Any], account: Account) -> Input | Failure:
    """Renders the step's input and checks it against the tool's input schema, unless the check is costly."""
    rendered = render(step.input, roots, account, step.literal)
    if isinstance(rendered, Failure):
        return rendered
    value, body = rendered
    if type(value) is not dict:
        return Failure(VALIDATION_INPUT, f"`with` must evaluate to an object, not {kind_of(value)}")
    return _checked(step, value, body)


def check_input(step: StepPlan, value: Any) -> Input | Failure:
    """Checks a value that replaces the rendered input, unless the check is costly."""
    if type(value) is not dict:
        return Failure(VALIDATION_INPUT, f"must be an object, not {kind_of(value)}")
    return _checked(step, value, write(value))


def _checked(step: StepPlan, value: dict[str, Any], body: bytes) -> Input | Failure:
    check = step.check_input
    if check is None:
        return Input(value, body)
    if check.is_costly(len(body)):
        return Input(value, body, check)
    problem = check.first_problem(value)
    return Input(value, body) if problem is None else Failure(VALIDATION_INPUT, problem[1], pointer=problem[0])


def after_check(rendered: Input, result: object) -> Input | Failure:
    """Returns an input after the result of its costly check."""
    if result is None:
        return Input(rendered.value, rendered.body)
    return failed_check(VALIDATION_INPUT, result)


def costly_output_check(step: StepPlan, output: Output) -> CheckValue | None:
    """Returns the check of a tool's output if it belongs into another process."""
    check = step.check_output
    if check is None or output.is_checked or not check.is_costly(output.size or MAX_JSON_BYTES):
        return None
    body = orjson.dumps(output.value)
    return CheckValue(check, body) if check.is_costly(len(body)) else None


def failed_check(code: str, result: object) -> Failure:
    """Returns the failure for a value with a problem, or of a check that took too long."""
    if isinstance(result, Failure):
        return replace(result, code=code)
    if not isinstance(result, tuple):
        raise TypeError("the result of a check must be a Problem or a Failure")
    return Failure(code, result[1], pointer=result[0])


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


def check_output(step: StepPlan, output: Output) -> bytes | Failure:
    """Checks a tool's output against the tool's output schema and returns it as JSON."""
    if output.is_checked:
        problem = output.problem
    else:
        problem = step.check_output.first_problem(output.value) if step.check_output is not None else None
    if problem is not None:
        return failed_check(VALIDATION_OUTPUT, problem)
    try:
        return write(output.value)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE if error.too_large else VALIDATION_OUTPUT, str(error))
