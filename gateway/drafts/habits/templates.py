"""Expressions and templates: everything that reads a value is parsed and written in the language of pipelines."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.drafts.draft import ASSUMED, CERTAIN, Ask, Option
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.names import STEP_NAMES
from gateway.drafts.habits.params import ALIASES
from gateway.drafts.habits.steps import ITEM_NAME
from gateway.drafts.habits.walk import pipeline_of, steps_of
from gateway.drafts.tree import Array, Object, members
from ordinaut.expressions.foreign.scope import Scope
from ordinaut.expressions.foreign.templates import Rewritten, placeholders, rewrite_condition, rewrite_text
from ordinaut.expressions.foreign.types import compared_types

LITERAL = {"orchestrator.run_pipeline": "pipeline", "orchestrator.wait_event": "match"}
"""Inputs that the step does not render."""
PROBLEMS = "template problems"
Rewrite = Callable[[str, Scope], Rewritten]


@dataclass(slots=True)
class _Texts:
    """Rewrites the texts of a pipeline; `open` are those that read a param which is not declared."""

    work: Work
    open: dict[str, list[tuple[Any, Any, str]]]
    types: dict[tuple[str, str], str]
    seen: set[str] = field(default_factory=set)

    def value(self, parent: Any, key: Any, scope: Scope) -> None:
        """Every text in a JSON value."""
        item = parent[key]
        if isinstance(item, str):
            self.text(parent, key, scope, rewrite_text)
        for inner, _ in list(members(item)):
            self.value(item, inner, scope)

    def text(self, parent: Any, key: Any, scope: Scope, rewrite: Rewrite) -> None:
        """One text."""
        before = parent[key]
        result = rewrite(before, scope)
        if self._asks_step(parent, key, scope, rewrite) or self._asks_type(parent, key, result.text, scope, rewrite):
            return
        if result.undeclared:
            self.open.setdefault(", ".join(result.undeclared), []).append((parent, key, result.text))
            return
        if result.text != before:
            why = "Writes the expression in the language of pipelines."
            self.work.draft.put(parent, key, result.text, why, CERTAIN if result.certain else ASSUMED)

    def _asks_step(self, parent: Any, key: Any, scope: Scope, rewrite: Rewrite) -> bool:
        """Asks which of several earlier steps with one written name a text reads."""
        before, work = parent[key], self.work
        for name, identifier in work.notes.get(STEP_NAMES, {}).items():
            earlier = [each for each in dict.fromkeys(identifier) if each in self.seen]
            if len(earlier) < 2 or name not in before:
                continue
            texts = [rewrite(before, replace(scope, steps={**scope.steps, name: each})).text for each in earlier]
            if len(set(texts)) < 2:
                continue
            options = [
                Option(each, f"the step `{each}`", [(parent, key, text)])
                for each, text in zip(earlier, texts, strict=True)
            ]
            question = f"Several steps have the name `{name}`. Which one is read?"
            work.draft.ask(Ask(f"{work.prefix}step:{name}", question, options, earlier[-1]))
            return True
        return False

    def nearest(self, scope: Scope) -> Scope:
        """The scope in which a written name is that of the last step before, where several steps have it."""
        identifier = self.work.notes.get(STEP_NAMES, {})
        last = {
            name: earlier[-1]
            for name, ids in identifier.items()
            if len(set(ids)) > 1 and (earlier := [each for each in ids if each in self.seen])
        }
        return replace(scope, steps={**scope.steps, **last}) if last else scope

    def _asks_type(self, parent: Any, key: Any, text: str, scope: Scope, rewrite: Rewrite) -> bool:
        """Asks about a number that is compared with a text."""
        if rewrite is not rewrite_condition:
            return False
        inner = text.strip()
        whole = next(iter(placeholders(inner)), None)
        if whole is not None and whole.end - whole.start == len(inner):
            inner = whole.expression
        choices = compared_types(inner, scope, self.types)
        if choices is None:
            return False
        as_number, as_text = choices
        options = [
            Option("number", f"as numbers: {as_number[:120]}", [(parent, key, as_number)]),
            Option("text", f"as texts: {as_text[:120]}", [(parent, key, as_text)]),
        ]
        question = f"`{inner[:120]}` compares a number with a text. How is it compared?"
        self.work.draft.ask(Ask(f"{self.work.prefix}type:{inner[:80]}", question, options, "number"))
        return True


def rewrite_templates(work: Work) -> None:
    """Rewrites every expression of the pipeline; asks where a name is declared nowhere."""
    pipeline = pipeline_of(work)
    if pipeline is None:
        return
    texts, scope = _Texts(work, {}, _types(work)), _scope(work)
    _steps(texts, pipeline.get("steps"), scope)
    _steps(texts, pipeline.get("on_error"), replace(scope, in_handler=True))
    if "output" in pipeline:
        texts.value(pipeline, "output", scope)
    for names, places in texts.open.items():
        work.draft.ask(_undeclared(work, names, places))
    _events(texts)


def _events(texts: _Texts) -> None:
    """The conditions of event triggers, which read the fields of the event."""
    schedule = texts.work.draft.root.get("schedule")
    triggers = schedule.get("triggers") if isinstance(schedule, Object) else None
    for trigger in triggers if isinstance(triggers, Array) else ():
        event = trigger.get("event") if isinstance(trigger, Object) else None
        if isinstance(event, Object) and isinstance(event.get("when"), str):
            whole = next(iter(placeholders(event["when"])), None)
            scope = Scope(in_event=True)
            if whole is not None and whole.end - whole.start == len(event["when"].strip()):
                texts.work.draft.put(event, "when", whole.expression, "A condition is an expression.")
            texts.text(event, "when", scope, rewrite_condition)


def _scope(work: Work) -> Scope:
    steps: dict[str, str] = {}
    outputs: dict[str, Any] = {}
    written = work.notes.get(STEP_NAMES, {})
    for name, identifier in written.items():
        steps[name] = identifier[-1]
    for step in steps_of(work):
        declared = _outputs(work, step)
        for key in ("id", "save_as"):
            if isinstance(name := step.get(key), str):
                steps.setdefault(name, name)
                outputs[name] = declared
    steps |= work.notes.get("branch names", {})
    root = work.draft.root
    params = root.get("params") if isinstance(root.get("params"), Object) else {}
    schema = root.get("params_schema")
    properties = schema.get("properties") if isinstance(schema, Object) else {}
    schedule = root.get("schedule")
    zone = schedule.get("time_zone") if isinstance(schedule, Object) else None
    names = [*params, *(properties if isinstance(properties, Object) else ())]
    return Scope(
        steps=steps,
        aliases=_aliases(work),
        moved=_moved(work),
        approvals=_users(work, "orchestrator.request_approval"),
        dashed=tuple(name for name in (*steps, *names) if "-" in name or " " in name),
        values=_users(work, "orchestrator.get_state"),
        params=names,
        order=_order(work),
        handled={str(step.get("id")) for step in steps_of(work) if step.get("on_error", "fail") != "fail"},
        outputs=outputs,
        time_zone=zone if isinstance(zone, str) and "/" in zone else "UTC",
    )


def _order(work: Work) -> tuple[str, ...]:
    """The ids of the steps of the pipeline itself."""
    pipeline = pipeline_of(work)
    steps = pipeline.get("steps") if pipeline is not None else None
    return tuple(
        str(step.get("id")) for step in (steps if isinstance(steps, Array) else ()) if isinstance(step, Object)
    )


def _users(work: Work, tool: str) -> set[str]:
    """The names of the steps that use a tool."""
    steps = [step for step in steps_of(work) if step.get("uses") == tool and "foreach" not in step]
    return {str(step[key]) for step in steps for key in ("id", "save_as") if key in step}


def _aliases(work: Work) -> dict[str, tuple[str, ...]]:
    """Variables that steps set, and names of secrets in `env`."""
    aliases: dict[str, tuple[str, ...]] = dict(work.notes.get(ALIASES, {}))
    for step in steps_of(work):
        if step.get("uses") == "orchestrator.set" and isinstance(step.get("with"), Object):
            aliases |= {key: ("steps", str(step.get("id")), key) for key in step["with"]}
    return aliases


def _moved(work: Work) -> dict[str, tuple[str, ...]]:
    """The last steps of branches, with the path of their output outside of the branch."""
    moved: dict[str, tuple[str, ...]] = {}
    for step in steps_of(work):
        branches = step.get("branches")
        for name, steps in branches.items() if isinstance(branches, Object) else ():
            last = steps[-1] if isinstance(steps, Array) and steps else None
            if isinstance(last, Object) and last.get("id") != name:
                moved[str(last.get("id"))] = (str(step.get("id")), name)
            elif isinstance(last, Object):
                moved[name] = (str(step.get("id")), name)
    return moved


def _types(work: Work) -> dict[tuple[str, str], str]:
    """The types of the members of outputs, by step and member."""
    types: dict[tuple[str, str], str] = {}
    for step in steps_of(work):
        tool = work.tools.get(str(step.get("uses")))
        for member, schema in (tool.outputs or {}).items() if tool is not None and "foreach" not in step else ():
            kind = schema.get("type") if isinstance(schema, dict) else None
            for key in ("id", "save_as"):
                if isinstance(kind, str) and isinstance(step.get(key), str):
                    types[step[key], member] = kind
    return types


def _outputs(work: Work, step: Object) -> list[str] | None:
    """The declared members of the output of a step; None if they are not known."""
    if "foreach" in step:
        return None
    if isinstance(step.get("branches"), Object):
        return list(step["branches"])
    uses = step.get("uses")
    if uses == "orchestrator.set" and isinstance(step.get("with"), Object):
        return list(step["with"])
    tool = work.tools.get(uses) if isinstance(uses, str) else None
    return list(tool.outputs) if tool is not None and tool.outputs else None


def _steps(texts: _Texts, steps: Any, scope: Scope) -> None:
    if not isinstance(steps, Array):
        return
    previous = scope.previous
    for step in steps:
        if isinstance(step, Object):
            _step(texts, step, texts.nearest(replace(scope, previous=previous)))
            previous = str(step.get("id", previous))
            texts.seen.add(previous)


def _step(texts: _Texts, step: Object, scope: Scope) -> None:
    for key in ("if", "foreach"):
        if isinstance(step.get(key), str):
            texts.text(step, key, scope, rewrite_condition)
    _only_list(texts, step)
    if isinstance(step.get("foreach"), Array):
        texts.value(step, "foreach", scope)
    inner = scope
    if "foreach" in step:
        name = texts.work.notes.get(ITEM_NAME, {}).get(id(step))
        others = {key: value for key, value in scope.steps.items() if key != step.get("id")}
        inner = replace(scope, in_loop=True, loop_names=[*scope.loop_names, *([name] if name else [])], steps=others)
    _input(texts, step, inner)
    if isinstance(step.get("needs_approval"), Object):
        texts.value(step, "needs_approval", inner)
    if isinstance(step.get("until"), str):
        texts.text(step, "until", inner, rewrite_condition)
    _steps(texts, step.get("do"), inner)
    _steps(texts, step.get("else"), scope)
    for branch in step["branches"].values() if isinstance(step.get("branches"), Object) else ():
        own = (
            {str(each.get("id")) for each in branch if isinstance(each, Object)} if isinstance(branch, Array) else set()
        )
        visible = {name: path for name, path in inner.moved.items() if name not in own}
        _steps(texts, branch, replace(inner, moved=visible))
    _steps(texts, step.get("on_error"), replace(scope, in_handler=True, previous=str(step.get("id", ""))))


def _only_list(texts: _Texts, step: Object) -> None:
    """`foreach: steps.a`: the only list in the output of that step."""
    text = step.get("foreach")
    path = re.fullmatch(r"(\$\{)?\s*steps\.(\w+)\s*\}?", text.strip()) if isinstance(text, str) else None
    kinds = {member: kind for (name, member), kind in texts.types.items() if path and name == path[2]}
    lists = [member for member, kind in kinds.items() if kind == "array"]
    if path and len(lists) == 1:
        why = "The only list in the output of the step."
        texts.work.draft.put(step, "foreach", f"steps.{path[2]}.{lists[0]}", why, ASSUMED)


def _input(texts: _Texts, step: Object, scope: Scope) -> None:
    arguments = step.get("with")
    if isinstance(arguments, str):
        texts.text(step, "with", scope, rewrite_text)
        return
    literal = LITERAL.get(str(step.get("uses")))
    for key, _ in list(members(arguments)):
        if key != literal:
            texts.value(arguments, key, scope)


def _undeclared(work: Work, names: str, places: list[tuple[Any, Any, str]]) -> Ask:
    """The question what a name that is not declared means."""
    options = [
        Option(
            "param", f"the param {names}, which each run gets", [(parent, key, text) for parent, key, text in places]
        ),
        Option("event", f"{names} in the data of the event that starts the run", list(_from_event(names, places))),
    ]
    text = f"`{names[:80]}` is not declared in `params`. What does it refer to?"
    return Ask(f"{work.prefix}param:{names}", text, options, "param")


def _from_event(names: str, places: list[tuple[Any, Any, str]]) -> Iterator[tuple[Any, Any, str]]:
    for parent, key, text in places:
        for name in names.split(", "):
            text = text.replace(f"params.{name}", f"event.data.{name}")  # noqa: PLW2901 - written by the translator
        yield parent, key, text
