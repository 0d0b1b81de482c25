"""Compiles the expressions and templates of a document and checks that each reference exists at its place."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from ordinaut.documents.misspelled import misspelled
from ordinaut.expressions import Expression, ExpressionError, Kind, compile_expression
from ordinaut.expressions.event_condition import (
    EVENT_FIELDS,
    MAX_CONDITION_NODES,
    event_problem,
    reads_event,
    refuse_size,
)
from ordinaut.expressions.foreign.scope import Scope
from ordinaut.expressions.foreign.templates import Rewritten, foreign_template
from ordinaut.expressions.paths import path_text
from ordinaut.expressions.rename import renamed
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import quoted
from pipeline_engine.data.schema_paths import MissingMember, missing_member
from pipeline_engine.data.template import Placeholder, split
from pipeline_engine.language.findings import Findings, Operation, Place, nearest
from pipeline_engine.language.secret_places import secret_of

ROOTS = ("params", "steps", "event", "run", "now")
SECRETS = "secrets"
SECRETS_PLACE = "in the `with` of a tool that is called over the network"
PLACES = {"step": "inside a step", "error": "in `on_error` steps"}
IN_FINALLY = ("state", "error")
"""Fields of `run` inside `finally`."""
MEMBERS = {
    "run": ("name", "task", "kind", "trigger", "occurrence", "scheduled_time", "interval", "claims"),
    "step": ("id", "path", "attempt", "start_time", "idempotency_key"),
    "error": ("code", "message", "step", "pointer", "tool", "attempt", "retryable", "details"),
}
REASONS = {
    Kind.AMBIGUOUS: ErrorReason.TEMPLATE_AMBIGUOUS,
    Kind.UNRESOLVED: ErrorReason.UNRESOLVED_REFERENCE,
    Kind.LIMIT: ErrorReason.TOO_LARGE,
}
Rewrite = Callable[[str], Any]
"""Returns the whole text with the repaired expression in it."""
Repair = Callable[[str], list[Operation]]
"""Returns the operations that put the repaired expression into the document."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names that an expression may refer to at its place.

    `later` are the names of steps that have not run yet; `inside` maps each hidden name to the step that contains it;
    `with_secrets`: secret references are allowed. `in_match`: the fields of an event are root names as well.
    `outputs` are the schemas of the outputs of steps by name. `outside` maps a hidden name to the path below `steps`
    at which the same output is visible outside, if there is one. `in_finally`: `run` has the fields IN_FINALLY.
    """

    steps: Sequence[str]
    later: Sequence[str]
    inside: Mapping[str, str]
    params: Sequence[str]
    params_closed: bool
    in_handler: bool
    in_loop: bool
    in_step: bool
    with_secrets: bool = False
    in_match: bool = False
    outputs: Mapping[str, Any] = field(default_factory=dict)
    outside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    params_schema: Any = None
    in_finally: bool = False

    def roots(self) -> list[str]:
        """Returns the root names."""
        loop = ["item", "index"] if self.in_loop else []
        fields, excluded = (EVENT_FIELDS, {"event"}) if self.in_match else ((), ())
        return [
            *fields,
            *(root for root in ROOTS if root not in excluded),
            *loop,
            *(["step"] if self.in_step else []),
            *(["error"] if self.in_handler else []),
        ]


def condition_expression(text: str) -> str:
    """Returns the expression of an `if`, which may be written inside `${…}`."""
    stripped = text.strip()
    try:
        parts = split(stripped)
    except ExpressionError:
        return stripped
    whole = parts[0] if len(parts) == 1 else None
    return whole.expression if isinstance(whole, Placeholder) else stripped


def reads_step(text: str, steps: Set[str]) -> bool:
    """Whether an expression reads one of these steps or changes with time; True for an invalid one."""
    try:
        expression = compile_expression(condition_expression(text))
    except ExpressionError:
        return True
    read = {str(path[1]) for path in expression.references if path[0] == "steps" and len(path) > 1}
    whole = any(path == ("steps",) for path in expression.references)
    return bool(read & steps) or whole or "now" in expression.names


def check_condition(text: str, place: Place, names: Names, findings: Findings, *, strict: bool = False) -> None:
    """Checks an `if` or a `foreach`, which may be written inside `${…}`."""
    inner = condition_expression(text)
    _check_expression(inner, place, names, findings, lambda repaired: text.replace(inner, repaired, 1), strict=strict)


def check_value(value: Any, place: Place, names: Names, findings: Findings) -> None:
    """Checks every template inside a JSON value."""
    if isinstance(value, str):
        _check_text(value, place, names, findings)
    elif isinstance(value, dict):
        for key, item in value.items():
            if "${" in key:
                message = "an object key must be literal; templates are allowed only in values"
                findings.problem(place.key(key), message, ErrorReason.TEMPLATE_SYNTAX)
            check_value(item, place.key(key), names, findings)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_value(item, place.item(index), names, findings)


def check_match(value: Any, place: Place, names: Names, findings: Findings) -> None:
    """Checks the `match` of a wait for an event: an expression, or an object of expressions and rendered values."""
    inner = replace(names, in_match=True)
    if isinstance(value, str):
        _check_match_expression(value, place, inner, findings, lambda repaired: [place.replace(repaired)])
    elif isinstance(value, dict):
        if len(value) > MAX_CONDITION_NODES:
            findings.problem(
                place,
                f"`match` must have at most {MAX_CONDITION_NODES} expressions (got {len(value)})",
                ErrorReason.TOO_LARGE,
            )
            return
        for key, expected in value.items():
            where = place.key(key)
            _check_match_expression(key, where, inner, findings, _renames(place, where))
            check_value(expected, where, names, findings)
    else:
        check_value(value, place, names, findings)


def _renames(parent: Place, where: Place) -> Repair:
    return lambda repaired: [parent.key(repaired).move_from(where)]


def _check_match_expression(text: str, place: Place, names: Names, findings: Findings, repair: Repair) -> None:
    try:
        expression = compile_expression(text)
        refuse_size(expression)
    except ExpressionError as error:
        repaired = error.repaired if error.repaired and _is_condition(error.repaired) else None
        _report_error(error, place, findings, repair(repaired) if repaired else None)
        return
    _report_unresolved(expression, place, names, findings, repair)
    if not reads_event(expression) and not any(path[0] == "event" for path in expression.references):
        findings.problem(
            place,
            f"`match` must read a field of the event ({', '.join(EVENT_FIELDS)}), such as data.order == params.order",
            ErrorReason.UNRESOLVED_REFERENCE,
        )


def _is_condition(text: str) -> bool:
    try:
        return reads_event(compile_expression(text))
    except ExpressionError:
        return False


def _report_error(error: ExpressionError, place: Place, findings: Findings, operations: list[Operation] | None) -> None:
    fix = (error.explanation, operations) if operations else None
    findings.problem(place, error.message, REASONS.get(error.kind, ErrorReason.TEMPLATE_SYNTAX), fix)


def _check_text(text: str, place: Place, names: Names, findings: Findings) -> None:
    if (foreign := foreign_template(text, _scope_of(names))) is not None:
        _report_foreign(text, foreign, place, findings)
        return
    if "${" not in text:
        return
    try:
        parts = split(text)
    except ExpressionError as error:
        findings.problem(place, error.message, ErrorReason.TEMPLATE_SYNTAX)
        return
    for part in parts:
        if isinstance(part, Placeholder) and not (names.with_secrets and secret_of(part)):
            _check_expression(part.expression, place, names, findings, _inside(text, part), strict=True)


def _report_foreign(text: str, foreign: Rewritten, place: Place, findings: Findings) -> None:
    """Text that looks like a template of another language: it would be sent as it is."""
    is_known = foreign.text != text and not foreign.problems and not foreign.undeclared
    fix = ("Writes it as `${…}`.", [place.replace(foreign.text)]) if is_known else None
    example = f"write {quoted(foreign.text)}" if is_known else "write `${…}`, such as `${params.city}`"
    findings.problem(
        place,
        f"{quoted(text)} looks like a template of another language: to insert a value, {example}; "
        "for the text itself, write it as a value: `${'{{'}`",
        ErrorReason.TEMPLATE_SYNTAX,
        fix,
    )


def _scope_of(names: Names) -> Scope:
    outputs = {name: _members_of(schema) for name, schema in names.outputs.items()}
    return Scope(
        steps={name: name for name in names.steps},
        params=names.params,
        outputs=outputs,
        in_loop=names.in_loop,
        in_handler=names.in_handler,
    )


def _members_of(schema: Any) -> list[str] | None:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return list(properties) if isinstance(properties, dict) and properties else None


def _inside(text: str, part: Placeholder) -> Rewrite:
    return lambda repaired: text[: part.start] + repaired + text[part.end :]


def _check_expression(
    text: str, place: Place, names: Names, findings: Findings, rewrite: Rewrite, *, strict: bool
) -> None:
    try:
        expression = compile_expression(text, strict=strict)
    except ExpressionError as error:
        _report_error(error, place, findings, [place.replace(rewrite(error.repaired))] if error.repaired else None)
        return
    _report_unresolved(expression, place, names, findings, lambda repaired: [place.replace(rewrite(repaired))])


def _report_unresolved(expression: Expression, place: Place, names: Names, findings: Findings, repair: Repair) -> None:
    for message, repaired in _unresolved(expression, names):
        fix = (f"Replaces it by `{repaired}`.", repair(repaired)) if repaired else None
        findings.problem(place, message, ErrorReason.UNRESOLVED_REFERENCE, fix)
    for message, repaired, closed in _undeclared(expression, names):
        fix = (f"Replaces it by `{repaired}`.", repair(repaired)) if repaired else None
        if closed:
            findings.problem(place, message, ErrorReason.UNRESOLVED_REFERENCE, fix)
        else:
            findings.warn(place, message, fix)


def _undeclared(expression: Expression, names: Names) -> list[tuple[str, str | None, bool]]:
    """The paths that a schema does not declare, each as message, repaired expression, and whether it cannot exist."""
    results: dict[str, tuple[str | None, bool]] = {}
    for path in (*expression.references, *expression.element_references):
        root, start = str(path[0]), 2 if path[0] == "steps" else 1
        schema = names.outputs.get(str(path[1])) if root == "steps" and len(path) > 1 else None
        if root == "params" and len(path) > 2:  # the first key is checked by name
            schema = names.params_schema
        missing = None if schema is None else missing_member(schema, path[start:])
        if missing is not None:
            place = start + missing.place
            wrong, near = path[: place + 1], nearest(str(path[place]), missing.names)
            repaired = _renamed_key(expression.text, wrong, misspelled(str(path[place]), missing.names))
            message = _undeclared_message(path_text(wrong), path_text(path[:place]), missing, near)
            results[message] = repaired, missing.closed
    return [(message, repaired, closed) for message, (repaired, closed) in results.items()]


def _undeclared_message(wrong: str, parent: str, missing: MissingMember, near: str | None) -> str:
    of_schema = "cannot exist" if missing.closed else "is not declared"
    names = f"did you mean `{near}`?" if near else f"declared: {', '.join(missing.names[:10]) or '(none)'}"
    return f"`{wrong[:200]}` {of_schema} by the schema of `{parent[:200]}`; {names}"


def _renamed_key(text: str, wrong: Sequence[str | int], near: str | None) -> str | None:
    keys = [key for key in wrong if isinstance(key, str)]
    return renamed(text, keys, [*keys[:-1], near]) if near and len(keys) == len(wrong) else None


def _unresolved(expression: Expression, names: Names) -> list[tuple[str, str | None]]:
    problems: dict[str, str | None] = {}
    for path in expression.references:
        if names.in_match and (of_event := event_problem(expression.text, path)) is not None:
            problems[of_event[0]] = of_event[1]
            continue
        keys = [key for key in path[:2] if isinstance(key, str)]
        problem = _problem(keys, names)
        if problem is not None:
            message, wrong, right = problem
            problems[message] = renamed(expression.text, wrong, right) if right else None
    return list(problems.items())


_Problem = tuple[str, list[str], list[str] | None]
"""The message, the wrong path and the suggested one."""


def _problem(keys: list[str], names: Names) -> _Problem | None:
    if not keys:
        return "an expression must begin with a root name", keys, None
    root, rest = keys[0], keys[1:]
    if root not in names.roots():
        return _unknown_root(root, rest, names)
    return _unknown_member(root, rest[0], names) if rest else None


def _unknown_member(root: str, name: str, names: Names) -> _Problem | None:
    if root == "steps":
        return _unknown_step(name, names)
    if root == "params":
        return _unknown_param(name, names)
    members = MEMBERS.get(root, (name,))
    if root == "run" and names.in_finally:
        members = (*members, *IN_FINALLY)
    if name in members:
        return None
    if root == "run" and name in IN_FINALLY:
        return f"`run.{name}` is available only in `finally`", [root, name], None
    right = misspelled(name, members)
    message = f"unknown field `{root}.{name[:64]}`; supported fields: {', '.join(members)}"
    return message, [root, name], [root, right] if right else None


def _unknown_root(root: str, rest: list[str], names: Names) -> _Problem:
    if root == SECRETS:
        return f"a secret can only be referenced as a whole, `${{secrets.NAME}}`, {SECRETS_PLACE}", [root], None
    if root == "error" and names.in_finally:
        return "`error` is available only in `on_error` steps; `finally` has `run.error`", [root], ["run", root]
    if root in PLACES:
        return f"`{root}` is available only {PLACES[root]}", [root], None
    if root in {"item", "index"}:
        return f"`{root}` is available only in the `with` or `do` of a step with `foreach`", [root], None
    near = nearest(root, ["steps"] if rest and rest[0] in names.steps else names.roots())
    owners = [owner for owner, members in (("steps", names.steps), ("params", names.params)) if root in members]
    if names.in_match and near is None:
        owners = ["data"]  # `match` is first of all about the content of the event
    if owners:
        return f"unknown root name `{root[:64]}`; did you mean `{owners[0]}.{root[:64]}`?", [root], [owners[0], root]
    hint = f"did you mean `{near}`?" if near else f"supported root names: {', '.join(names.roots())}"
    right = misspelled(root, ["steps"] if rest and rest[0] in names.steps else names.roots())
    return f"unknown root name `{root[:64]}`; {hint}", [root], [right] if right else None


def _unknown_step(name: str, names: Names) -> _Problem | None:
    if name in names.steps:
        return None
    if name in names.later:
        return f"`steps.{name}` has not run yet at this point", ["steps", name], None
    if name in names.inside:
        owner = names.inside[name]
        scope = f"is visible only inside `{owner}`; outside, use the output of that step, `steps.{owner}`"
        path = names.outside.get(name) if owner in names.steps else None
        return f"`steps.{name}` {scope}", ["steps", name], ["steps", *path] if path else None
    near = nearest(name, names.steps)
    hint = f"did you mean `steps.{near}`?" if near else f"earlier steps: {', '.join(names.steps[:10]) or '(none)'}"
    right = misspelled(name, names.steps)
    return f"unknown step `steps.{name[:64]}`; {hint}", ["steps", name], ["steps", right] if right else None


def _unknown_param(name: str, names: Names) -> _Problem | None:
    if not names.params or name in names.params:
        return None
    near = nearest(name, names.params, 0.75)
    if near is None and not names.params_closed:
        return None
    hint = f"did you mean `params.{near}`?" if near else f"defined params: {', '.join(names.params[:10])}"
    right = misspelled(name, names.params)
    return f"unknown param `params.{name[:64]}`; {hint}", ["params", name], ["params", right] if right else None
