"""Reports unknown keys and suggests the key that was probably intended."""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ordinaut.documents.misspelled import misspelled
from pipeline_engine.language.findings import Findings, Operation, Place, nearest

STEP_KEYS = (
    *("id", "name", "uses", "with", "do", "branches", "foreach", "max_parallel", "tolerate"),
    *("until", "every", "max_rounds", "if", "else", "save_as", "retry", "timeout", "on_error", "needs_approval"),
)
ACCEPTED_STEP_KEYS = (*STEP_KEYS, "timeout_seconds", "max_retries")
DOCUMENT_KEYS = ("version", "steps", "output", "on_error", "finally", "timeout", "deadline")
ACCEPTED_DOCUMENT_KEYS = (*DOCUMENT_KEYS, "timeout_seconds")
STEP_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("use", "tool", "action", "call", "using"), "uses"),
    **dict.fromkeys(("args", "arguments", "input", "inputs", "params", "parameters"), "with"),
    **dict.fromkeys(("when", "condition", "only_if", "where"), "if"),
    **dict.fromkeys(("save", "as", "output", "store_as", "register", "saveas"), "save_as"),
    **dict.fromkeys(("retries",), "retry"),
    **dict.fromkeys(("catch", "on_failure", "onerror", "error"), "on_error"),
    **dict.fromkeys(("description", "comment", "title", "label"), "name"),
    **dict.fromkeys(("step", "key"), "id"),
    **dict.fromkeys(("for_each", "for", "each", "loop", "items", "with_items", "iterate"), "foreach"),
    **dict.fromkeys(("steps", "body", "block", "then"), "do"),
    **dict.fromkeys(("approval", "approve", "requires_approval", "confirm", "needs_confirmation"), "needs_approval"),
    **dict.fromkeys(("parallel", "branch", "fork"), "branches"),
    **dict.fromkeys(("parallelism", "concurrency", "max_concurrency"), "max_parallel"),
    **dict.fromkeys(("otherwise", "orelse", "or_else", "if_not"), "else"),
    **dict.fromkeys(("repeat_until", "loop_until", "poll_until", "do_until"), "until"),
    **dict.fromkeys(("interval", "poll_interval", "poll_every", "polling_interval", "frequency"), "every"),
    **dict.fromkeys(("rounds", "max_iterations", "max_polls", "max_loops"), "max_rounds"),
    **dict.fromkeys(("tolerance", "tolerated", "max_failures", "allowed_failures", "allow_failures"), "tolerate"),
}
ELSE_IF = "write the next condition inside `else`: `else: [{id: …, if: …, …}]`"
STEP_HINTS: Mapping[str, str] = {
    **dict.fromkeys(("elif", "elseif", "else_if", "elsif"), ELSE_IF),
    **dict.fromkeys(("while", "loop_while", "repeat_while"), "a loop has `until`, which ends it when it becomes true"),
    **dict.fromkeys(
        ("attempts", "max_attempts", "max_tries"),
        "`retry` counts the calls after the first one, `max_rounds` counts all rounds",
    ),
    **dict.fromkeys(("limit", "batch_size"), "`max_parallel` bounds the concurrent iterations, a slice the elements"),
    **dict.fromkeys(("repeat", "poll", "polling"), "write `until: <expression>` with `every: <duration>`"),
}
"""Keys of other languages that do not have one counterpart."""
DOCUMENT_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("tasks", "pipeline", "stages", "actions"), "steps"),
    **dict.fromkeys(("result", "returns", "outputs"), "output"),
    **dict.fromkeys(("catch", "on_failure", "onerror"), "on_error"),
    **dict.fromkeys(("ensure", "always", "on_exit", "cleanup", "on_end"), "finally"),
}


def refuse_unknown_keys(
    value: Mapping[str, Any],
    supported: Sequence[str],
    aliases: Mapping[str, str],
    place: Place,
    findings: Findings,
    hints: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Reports every key that is not `supported`, with a repair when the intended key is clear and unused."""
    for key in value:
        if key in supported:
            continue
        if (hint := hints.get(key.lower())) is not None:
            findings.problem(place.key(key), f"unknown key `{key}`; {hint}")
            continue
        near = aliases.get(key.lower()) or nearest(key, [name for name in supported if name not in value], 0.7)
        if near and near not in value:
            operations: list[Operation] = [place.key(near).move_from(place.key(key))]
            message = f"unknown key `{key[:64]}`; did you mean `{near}`?"
            certain = key.lower() in aliases or misspelled(key, supported) == near
            certain = certain and keeps_meaning(value, key, near, findings)
            findings.problem(place.key(key), message, fix=(f"Renames it to `{near}`.", operations) if certain else None)
        else:
            findings.problem(place.key(key), f"unknown key `{key[:64]}`; supported keys: {', '.join(supported)}")


def has_alias_of(value: Mapping[str, Any], intended: str) -> bool:
    """Whether a step has a key that probably stands for another one, so that the other problem comes first."""
    unknown = {key.lower() for key in value if key not in ACCEPTED_STEP_KEYS}
    stands_for = {STEP_ALIASES.get(key) for key in unknown}
    return intended in stands_for or (intended == "until" and bool(unknown & STEP_HINTS.keys()))


ANY_SHAPE = (str, bool, int, float, list, dict, type(None))
SHAPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("uses", "until", "save_as", "id", "if", "name", "every"), (str, bool)),
    **dict.fromkeys(("branches", "do"), (list, dict)),
    **dict.fromkeys(("foreach",), (list, str)),
    **dict.fromkeys(("with",), (dict, str)),
    **dict.fromkeys(("max_parallel", "max_rounds"), (int, float, str)),
}
"""The types of values that keys have in other languages with the same meaning."""
LOOPS = frozenset({"foreach", *(key for key, intended in STEP_ALIASES.items() if intended == "foreach")})


def keeps_meaning(value: Mapping[str, Any], key: str, intended: str, findings: Findings) -> bool:
    """Whether a key of a step can be renamed without a change of what the step does or of what expressions read.

    `as` in a loop names the element, and `where` selects elements: neither has a counterpart. A name that expressions
    read as a root, or a step that expressions outside its branch read, cannot be renamed without them.
    """
    if not isinstance(value[key], SHAPES.get(intended, ANY_SHAPE)):
        return False
    item: Any = value[key]
    if key.lower() in {"as", "where"} and LOOPS & {name.lower() for name in value}:
        return False
    if intended == "save_as":
        return "${" not in item and not findings.mentions(rf"\$\{{[^}}]*(?<![\w.]){re.escape(item)}\b")
    if intended == "branches":
        inside = json.dumps(item, ensure_ascii=False)
        return all(_reads_within(name, inside, findings) for name in re.findall(r'"id": "([a-z0-9_]+)"', inside))
    return True


def _reads_within(name: str, inside: str, findings: Findings) -> bool:
    pattern = rf"\bsteps\.{name}\b"
    return findings.mentions(pattern) <= len(re.findall(pattern, inside))
