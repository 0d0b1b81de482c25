"""Reports unknown keys and suggests the key that was probably intended."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline_engine.language.findings import Findings, Operation, Place, nearest

STEP_KEYS = (
    *("id", "name", "uses", "with", "do", "branches", "foreach", "max_parallel"),
    *("if", "save_as", "retry", "timeout", "on_error", "needs_approval"),
)
ACCEPTED_STEP_KEYS = (*STEP_KEYS, "timeout_seconds", "max_retries")
DOCUMENT_KEYS = ("version", "steps", "output", "on_error", "finally", "timeout", "deadline")
ACCEPTED_DOCUMENT_KEYS = (*DOCUMENT_KEYS, "timeout_seconds")
STEP_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("use", "tool", "action", "call", "using"), "uses"),
    **dict.fromkeys(("args", "arguments", "input", "inputs", "params", "parameters"), "with"),
    **dict.fromkeys(("when", "condition", "only_if", "where"), "if"),
    **dict.fromkeys(("save", "as", "output", "store_as", "register", "saveas"), "save_as"),
    **dict.fromkeys(("retries", "attempts"), "retry"),
    **dict.fromkeys(("catch", "on_failure", "onerror", "error"), "on_error"),
    **dict.fromkeys(("description", "comment", "title", "label"), "name"),
    **dict.fromkeys(("step", "key"), "id"),
    **dict.fromkeys(("for_each", "for", "each", "loop", "items", "with_items", "iterate"), "foreach"),
    **dict.fromkeys(("steps", "body", "block", "then"), "do"),
    **dict.fromkeys(("approval", "approve", "requires_approval", "confirm", "needs_confirmation"), "needs_approval"),
    **dict.fromkeys(("parallel", "branch", "fork"), "branches"),
    **dict.fromkeys(("parallelism", "concurrency", "max_concurrency", "limit", "batch_size"), "max_parallel"),
}
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
) -> None:
    """Reports every key that is not `supported`, with a repair when the intended key is clear and unused."""
    for key in value:
        if key in supported:
            continue
        near = aliases.get(key.lower()) or nearest(key, [name for name in supported if name not in value], 0.7)
        if near and near not in value:
            operations: list[Operation] = [place.key(near).move_from(place.key(key))]
            message = f"unknown key `{key[:64]}`; did you mean `{near}`?"
            findings.problem(place.key(key), message, fix=(f"Renames it to `{near}`.", operations))
        else:
            findings.problem(place.key(key), f"unknown key `{key[:64]}`; supported keys: {', '.join(supported)}")
