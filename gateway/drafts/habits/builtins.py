"""What other systems call the built-in tools, and how their inputs are written here."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.drafts.draft import ASSUMED, Ask, Draft, Option
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.durations import duration
from gateway.drafts.habits.walk import steps_of
from gateway.drafts.habits.words import APPROVAL_WORDS, folded
from gateway.drafts.tree import Array, Object

PREFIX = "orchestrator."
TIME = re.compile(r"\d{4}-\d\d-\d\dT")
WORDS: Mapping[str, str] = {
    **dict.fromkeys(("sleep", "delay", "wait", "pause", "timer", "wait_for", "wait_until", "wait_time"), "wait"),
    **dict.fromkeys(
        (
            "approval",
            "human",
            "human_approval",
            "manual_approval",
            "approve",
            "request_approval",
            "human_in_the_loop",
            "human.approval",
        ),
        "request_approval",
    ),
    **dict.fromkeys(
        ("ask", "ask_human", "confirm", "wait_for_approval", "user_approval", "review", "gate"), "request_approval"
    ),
    **dict.fromkeys(("human_review", "manual_review", "human.review", "human.ask", "human_input"), "request_approval"),
    **dict.fromkeys(
        (f"{noun}.{verb}" for noun in ("approval", "approvals") for verb in ("request", "create", "ask", "wait")),
        "request_approval",
    ),
    **dict.fromkeys(("time.sleep", "asyncio.sleep", "settimeout", "wait.for", "sleep.for", "timer.wait"), "wait"),
    **dict.fromkeys(("emit", "publish", "emit_event", "publish_event", "event.publish", "events.publish"), "emit"),
    **dict.fromkeys(("event.emit", "events.emit", "send_event", "trigger_event"), "emit"),
    **dict.fromkeys(
        ("put_state", "set_state", "state.set", "state.put", "save_state", "kv.set", "kv.put", "store.set"), "put_state"
    ),
    **dict.fromkeys(("state.write", "write_state", "memory.set", "state.save"), "put_state"),
    **dict.fromkeys(
        ("get_state", "state.get", "load_state", "kv.get", "store.get", "state.read", "read_state"), "get_state"
    ),
    **dict.fromkeys(
        (
            "subworkflow",
            "call",
            "workflow",
            "run_task",
            "sub_workflow",
            "child_workflow",
            "call_workflow",
            "run_workflow",
        ),
        "run_task",
    ),
    **dict.fromkeys(
        (
            f"{verb}_{noun}"
            for verb in ("run", "call", "trigger", "start", "execute", "invoke", "launch")
            for noun in (
                "task",
                "workflow",
                "subworkflow",
                "sub_workflow",
                "subtask",
                "child",
                "flow",
                "child_workflow",
            )
        ),
        "run_task",
    ),
    **dict.fromkeys((f"{noun}.{verb}" for noun in ("task", "tasks") for verb in ("run", "call", "start")), "run_task"),
    **dict.fromkeys(("fail", "raise", "throw", "error", "abort"), "fail"),
    **dict.fromkeys(("stop", "exit", "end", "return", "finish", "terminate", "succeed"), "stop"),
    **dict.fromkeys(
        ("set", "assign", "set_variable", "set_variables", "set_vars", "transform", "compute", "variables"), "set"
    ),
    **dict.fromkeys(
        ("wait_event", "wait_for_event", "event.wait", "events.wait", "await_event", "receive", "on_event"),
        "wait_event",
    ),
    **dict.fromkeys(("run_pipeline", "pipeline.run"), "run_pipeline"),
    **dict.fromkeys(("noop", "no_op", "nop", "pass", "dummy", "empty"), "set"),
}
"""The built-in tool for each word, without the prefix."""
MEMBERS: Mapping[str, Mapping[str, str]] = {
    "wait": {
        **dict.fromkeys(
            ("duration", "seconds", "time", "delay", "amount", "sleep", "timeout", "wait", "interval"), "for"
        ),
        **dict.fromkeys(("minutes", "hours", "days", "ms", "milliseconds", "pause", "length"), "for"),
        **dict.fromkeys(("timestamp", "datetime", "at", "resume_at", "date", "wait_until"), "until"),
    },
    "request_approval": APPROVAL_WORDS,
    "emit": {
        **dict.fromkeys(("event", "name", "type", "event_type", "channel", "subject_name", "event_name"), "topic"),
        **dict.fromkeys(("payload", "body", "message", "content", "detail", "properties"), "data"),
    },
    "put_state": {
        **dict.fromkeys(("name", "id", "path"), "key"),
        **dict.fromkeys(("data", "content", "val", "state"), "value"),
        **dict.fromkeys(("store", "bucket", "scope", "ns", "collection"), "namespace"),
    },
    "get_state": {
        **dict.fromkeys(("name", "id", "path"), "key"),
        **dict.fromkeys(("default_value", "fallback"), "default"),
        **dict.fromkeys(("store", "bucket", "scope", "ns", "collection"), "namespace"),
    },
    "run_task": {
        **dict.fromkeys(("workflow", "name", "id", "task_id", "workflow_id", "task_name", "ref"), "task"),
        **dict.fromkeys(("input", "inputs", "args", "parameters", "with", "arguments", "data"), "params"),
        **dict.fromkeys(("wait_for_completion", "sync", "await", "synchronous"), "wait"),
        **dict.fromkeys(("after",), "delay"),
    },
    "fail": {**dict.fromkeys(("error", "reason", "text", "msg"), "message"), **dict.fromkeys(("type", "name"), "code")},
    "stop": dict.fromkeys(("result", "value", "return", "data", "outputs"), "output"),
    "wait_event": {
        **dict.fromkeys(("event", "name", "type", "event_name", "channel"), "topic"),
        **dict.fromkeys(("filter", "condition", "where", "when", "if"), "match"),
        **dict.fromkeys(("expires_in", "deadline", "within"), "timeout"),
    },
    "set": {},
    "run_pipeline": {},
}
"""The inputs of each built-in tool, by the words for them."""
INPUTS: Mapping[str, frozenset[str]] = {
    "wait": frozenset({"for", "until"}),
    "request_approval": frozenset(
        {"message", "data", "choices", "answer_schema", "editable", "assignees", "expires_in", "allow_self"}
    ),
    "emit": frozenset({"topic", "data", "subject", "id"}),
    "put_state": frozenset({"namespace", "key", "value", "revision"}),
    "get_state": frozenset({"namespace", "key", "default"}),
    "run_task": frozenset({"task", "params", "wait", "delay", "start_time"}),
    "fail": frozenset({"code", "message", "details"}),
    "stop": frozenset({"output"}),
    "wait_event": frozenset({"topic", "match", "since", "timeout"}),
    "run_pipeline": frozenset({"pipeline", "params"}),
}
MAIN: Mapping[str, str] = {
    "wait": "for",
    "request_approval": "message",
    "emit": "topic",
    "run_task": "task",
    "fail": "message",
    "stop": "output",
    "wait_event": "topic",
    "get_state": "key",
}
"""The input that a bare value is: `sleep: 30`."""
NUMBER_UNITS = {"minutes": "m", "hours": "h", "days": "d", "ms": "ms", "milliseconds": "ms", "weeks": "w"}


def builtin_word(name: str) -> str | None:
    """The built-in tool, without its prefix, that a word means; otherwise None.

    >>> builtin_word("sleep"), builtin_word("orchestrator.sleep"), builtin_word("State.Set"), builtin_word("mail.send")
    ('wait', 'wait', 'put_state', None)
    """
    return WORDS.get(folded(name.removeprefix(PREFIX)).replace("state._", "state.")) or WORDS.get(
        name.removeprefix(PREFIX).lower()
    )


def ask_namespace(work: Work) -> None:
    """Asks for the namespace of state entries that name none."""
    missing = [
        step["with"]
        for step in steps_of(work)
        if step.get("uses") in {f"{PREFIX}get_state", f"{PREFIX}put_state"}
        and isinstance(step.get("with"), Object)
        and "namespace" not in step["with"]
    ]
    if not missing:
        return
    name = str(work.draft.root.get("name", "")).removeprefix("tasks/").replace("-", "_")
    names = list(dict.fromkeys([*([name] if re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) else []), "shared", "default"]))
    options = [Option(each, f"the namespace {each}", [(item, "namespace", each) for item in missing]) for each in names]
    text = "A state entry is in a namespace. In which one are these?"
    work.draft.ask(Ask(f"{work.prefix}namespace", text, options, names[0]))


def shape_input(draft: Draft, step: Object, tool: str) -> None:
    """Writes the input of a built-in tool in its own words, from `with` and from members of the step."""
    words, own = MEMBERS[tool], INPUTS.get(tool)
    arguments = step.get("with")
    if isinstance(arguments, str | int | float) and not isinstance(arguments, bool) and tool in MAIN:
        arguments = Object({MAIN[tool]: arguments}, step.place_of("with"))
        draft.put(step, "with", arguments, f"The value is the input `{MAIN[tool]}`.")
        arguments = step["with"]
    if not isinstance(arguments, Object) or own is None:
        return
    for key in list(arguments):
        name = folded(key)
        if key in own:
            continue
        target = name if name in own else words.get(name)
        if target is None or target in arguments:
            continue
        unit = NUMBER_UNITS.get(name)
        draft.rename(arguments, key, target, f"Renames `{key}` to `{target}`.")
        if unit and isinstance(arguments[target], int | float):
            draft.put(arguments, target, f"{arguments[target]:g}{unit}", "Writes the duration with a unit.")
    if (special := _SPECIAL.get(tool)) is not None:
        special(draft, arguments)


def _wait(draft: Draft, arguments: Object) -> None:
    value = arguments.get("for")
    if isinstance(value, str) and "until" not in arguments and (TIME.match(value) or value.startswith("${now")):
        draft.rename(arguments, "for", "until", "It is a time, not a duration.")
    _durations(draft, arguments, ("for",))


def _approval(draft: Draft, arguments: Object) -> None:
    _durations(draft, arguments, ("expires_in",))
    value = arguments.get("assignees")
    if isinstance(value, str) and "${" not in value:
        draft.put(arguments, "assignees", Array([value], arguments.place_of("assignees")), "Assignees are a list.")
    if "message" not in arguments:
        draft.put(arguments, "message", "Continue?", "An approval asks a question.", ASSUMED)


def _emit(draft: Draft, arguments: Object) -> None:
    extra = [key for key in arguments if key not in INPUTS["emit"]]
    if extra and isinstance(arguments.get("data", Object()), Object):
        data = arguments.setdefault("data", Object(place=arguments.place_of(extra[0])))
        for key in extra:
            if key not in data:
                draft.move(arguments, key, data, key, f"`{key}` is a part of the data of the event.", ASSUMED)
    data = arguments.get("data")
    if isinstance(data, str) and not data.strip().startswith("${"):
        draft.put(arguments, "data", {"text": data}, "The data of an event is an object.", ASSUMED)


def _run_task(draft: Draft, arguments: Object) -> None:
    task = arguments.get("task")
    if isinstance(task, str) and re.fullmatch(r"[A-Za-z][\w -]{0,60}", task) and task.lower().replace("_", "-") != task:
        draft.put(
            arguments, "task", f"tasks/{task.lower().replace('_', '-').replace(' ', '-')}", "Writes the id.", ASSUMED
        )
    _durations(draft, arguments, ("delay",))
    value = arguments.get("wait")
    if isinstance(value, str) and value.lower() in {"true", "false", "yes", "no"}:
        draft.put(arguments, "wait", value.lower() in {"true", "yes"}, "`wait` is true or false.")


def _fail(draft: Draft, arguments: Object) -> None:
    if "message" in arguments and "code" not in arguments and isinstance(arguments.get("error"), str):
        draft.rename(arguments, "error", "code", "Renames `error` to `code`.")
    if "message" not in arguments:
        draft.put(arguments, "message", str(arguments.get("code", "failed")), "An error has a message.", ASSUMED)
    if "code" not in arguments:
        draft.put(arguments, "code", "FAILED", "An error has a code.", ASSUMED)
    elif isinstance(arguments["code"], str) and not arguments["code"].isupper():
        draft.put(arguments, "code", folded(arguments["code"]).upper(), "A code has upper-case letters.")


def _wait_event(draft: Draft, arguments: Object) -> None:
    _durations(draft, arguments, ("timeout",))


def _durations(draft: Draft, arguments: Object, keys: tuple[str, ...]) -> None:
    for key in keys:
        text = duration(arguments.get(key))
        if text is not None and text != arguments[key]:
            draft.put(arguments, key, text, "Writes the duration with a unit.")


_SPECIAL: Mapping[str, Callable[[Draft, Object], Any]] = {
    "wait": _wait,
    "request_approval": _approval,
    "emit": _emit,
    "run_task": _run_task,
    "fail": _fail,
    "wait_event": _wait_event,
}
