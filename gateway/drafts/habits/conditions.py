"""Conditions in other forms: `unless`, `switch`, `while`, lists of conditions."""

import json
from typing import Any

from gateway.drafts.draft import ASSUMED
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.walk import lists_of_steps
from gateway.drafts.habits.words import folded
from gateway.drafts.tree import Array, Object
from ordinaut.expressions.foreign.translate import quoted

OPERATORS = {
    **dict.fromkeys(("equal", "equals", "eq", "is", "="), "=="),
    **dict.fromkeys(("notequal", "not_equal", "not_equals", "ne", "neq"), "!="),
    **dict.fromkeys(("larger", "greater", "gt", "greater_than", "after"), ">"),
    **dict.fromkeys(("smaller", "less", "lt", "less_than", "before"), "<"),
    **dict.fromkeys(("largerequal", "larger_equal", "gte", "ge", "greater_or_equal"), ">="),
    **dict.fromkeys(("smallerequal", "smaller_equal", "lte", "le", "less_or_equal"), "<="),
}
UNLESS = frozenset({"unless", "if_not", "skip_if", "skip_when", "not_if"})


def conditions(work: Work) -> None:
    """Writes every condition as one expression in `if`."""
    for steps in lists_of_steps(work):
        for step in list(steps):
            if isinstance(step, Object):
                _negated(work, step)
                _listed(work, step)
                _while(work, step)
                _switch(work, step)
                _choice(work, step)


def _negated(work: Work, step: Object) -> None:
    for key in list(step):
        if folded(key) in UNLESS and isinstance(step[key], str) and "if" not in step:
            work.draft.rename(step, key, "if", f"`{key}` is the opposite of `if`.")
            work.draft.put(step, "if", f"!({_bare(step['if'])})", "Negates the condition.")


def _bare(text: str) -> str:
    """A condition without a placeholder around it."""
    stripped = text.strip()
    for opening, closing in (("${{", "}}"), ("{{", "}}"), ("${", "}")):
        if stripped.startswith(opening) and stripped.endswith(closing) and opening not in stripped[len(opening) :]:
            return stripped[len(opening) : -len(closing)].strip()
    return stripped


def _listed(work: Work, step: Object) -> None:
    """`if: [a, b]`: all of them; `{and: […]}`, `{or: […]}`, `{not: a}`."""
    value = step.get("if")
    if isinstance(value, Array) and value and all(isinstance(item, str) for item in value):
        work.draft.put(step, "if", _joined(value, "&&"), "All conditions of the list must hold.", ASSUMED)
    elif isinstance(value, Object) and (compared := _comparison(value)):
        work.draft.put(step, "if", compared, "Writes the comparison as an expression.")
    elif isinstance(value, Object) and len(value) == 1:
        [(key, items)] = value.items()
        name = folded(key)
        texts = items if isinstance(items, Array) else [items]
        if not all(isinstance(item, str) for item in texts):
            return
        if name in {"and", "all", "all_of"}:
            work.draft.put(step, "if", _joined(texts, "&&"), "All conditions must hold.")
        elif name in {"or", "any", "any_of"}:
            work.draft.put(step, "if", _joined(texts, "||"), "One of the conditions must hold.")
        elif name == "not" and len(texts) == 1:
            work.draft.put(step, "if", f"!({_bare(texts[0])})", "Negates the condition.")
        elif name in {"expression", "expr", "value", "condition"} and len(texts) == 1:
            work.draft.put(step, "if", texts[0], "A condition is an expression.")


def _comparison(value: Object) -> str:
    """`{left: a, operator: ">", right: 1}` as an expression; empty for anything else."""
    words = {folded(key): key for key in value}
    left_side = next(
        (words[name] for name in ("left", "value1", "field", "variable", "a", "path") if name in words), None
    )
    right = next(
        (
            words[name]
            for name in ("right", "value2", "value", "b", "equals")
            if name in words and words[name] != left_side
        ),
        None,
    )
    operator = next((words[name] for name in ("operator", "operation", "op", "comparator") if name in words), None)
    if left_side is None or right is None or operator is None or len(value) != 3:
        return ""
    symbol = OPERATORS.get(folded(str(value[operator])), str(value[operator]))
    if symbol not in {"==", "!=", "<", "<=", ">", ">="} or not isinstance(value[left_side], str):
        return ""
    return f"{_bare(value[left_side].removeprefix('='))} {symbol} {_operand(value[right])}"


def _operand(value: Any) -> str:
    """A value as an expression: a placeholder is an expression already."""
    if isinstance(value, str) and _bare(value.removeprefix("=")) != value:
        return _bare(value.removeprefix("="))
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _joined(texts: list[str], operator: str) -> str:
    return f" {operator} ".join(f"({_bare(text)})" for text in texts) if len(texts) > 1 else _bare(texts[0])


def _while(work: Work, step: Object) -> None:
    """`while: a` is `until: !(a)`."""
    for key in list(step):
        if (
            folded(key) in {"while", "loop_while", "repeat_while"}
            and isinstance(step[key], str)
            and "until" not in step
        ):
            work.draft.rename(step, key, "until", "A loop has the condition that ends it.")
            work.draft.put(step, "until", f"!({_bare(step['until'])})", "Negates the condition.")


def _choice(work: Work, step: Object) -> None:
    """`choice: [{when: a, then: …}, {otherwise: …}]`: conditions with `else`."""
    key = next(
        (key for key in step if folded(key) in {"choice", "choices", "conditions", "branches_if", "cases"}), None
    )
    cases = step[key] if key else None
    if key is None or not isinstance(cases, Array) or set(step) & {"uses", "do", "if", "branches"}:
        return
    rest: Any = None
    for number, case in reversed(list(enumerate(cases, 1))):
        words = {folded(name): name for name in case} if isinstance(case, Object) else {}
        condition = next((case[words[name]] for name in ("if", "when", "condition", "case") if name in words), None)
        steps = next(
            (case[words[name]] for name in ("then", "do", "steps", "otherwise", "else", "default") if name in words),
            None,
        )
        if steps is None or (condition is None and number < len(cases)) or not isinstance(condition, str | None):
            return
        inner = steps if isinstance(steps, Array) else Array([steps])
        if condition is None:
            rest = inner
        elif number > 1:
            members = {"id": f"{step.get('id', 'case')}_{number}", "if": condition, "do": inner}
            rest = Array([Object({**members, **({"else": rest} if rest else {})}, case.place)])
        else:
            step.pop(key)
            step |= {"if": condition, "do": inner, **({"else": rest} if rest else {})}
            work.draft.put(step, "if", condition, "Writes the cases as conditions with `else`.")


def _switch(work: Work, step: Object) -> None:
    """`switch: x` with `cases: {a: […]}` and `default: […]`: conditions with `else`."""
    words = {folded(key): key for key in step}
    cases = step.get(words.get("cases", ""))
    subject = next((step[words[name]] for name in ("switch", "value", "on", "expression") if name in words), None)
    if not isinstance(cases, Object) or not isinstance(subject, str) or set(step) & {"uses", "do", "if"}:
        return
    default = next((step[words[name]] for name in ("default", "else", "otherwise") if name in words), None)
    for key in [
        key for key in step if folded(key) in {"switch", "value", "on", "expression", "cases", "default", "otherwise"}
    ]:
        step.pop(key)
    rest: Any = default
    for number, (name, steps) in reversed(list(enumerate(cases.items(), 1))):
        members = {"if": f"{_bare(subject)} == {_operand(name)}", "do": steps, **({"else": rest} if rest else {})}
        if number > 1:
            rest = Array([Object({"id": f"{step.get('id', 'case')}_{number}", **members}, cases.place_of(name))])
            continue
        step |= members
    work.draft.put(step, "if", step["if"], "Writes the cases as conditions with `else`.")
