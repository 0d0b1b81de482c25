"""Values with units, and numbers, booleans and enumerations that were written as texts."""

from collections.abc import Iterator
from typing import Any

from gateway.drafts.draft import ASSUMED, Ask, Draft, Option
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.durations import duration
from gateway.drafts.habits.shape import STEP_TIMEOUT
from gateway.drafts.habits.walk import pipeline_of, steps_of
from gateway.drafts.habits.words import folded
from gateway.drafts.tree import Object

TIMEOUT_UNITS = {
    **dict.fromkeys(("timeout_ms", "timeout_milliseconds", "timeout_millis"), "ms"),
    **dict.fromkeys(("timeout_minutes", "timeout_mins", "timeout_min"), "m"),
    **dict.fromkeys(("timeout_hours",), "h"),
    **dict.fromkeys(("active_deadline_seconds", "timeout_seconds"), "s"),
}
POLICY_DURATIONS = ("start_deadline", "run_timeout", "expect_success_every")
PRIORITIES = {
    "highest": 1,
    "critical": 1,
    "urgent": 1,
    "high": 2,
    "medium": 5,
    "normal": 5,
    "default": 5,
    "low": 8,
    "lowest": 9,
}
OVERLAPS = {
    **{name.lower(): name for name in ("SKIP", "BUFFER_ONE", "BUFFER_ALL", "CANCEL_OTHER", "ALLOW")},
    **dict.fromkeys(("skip", "forbid", "drop", "ignore", "none", "no"), "SKIP"),
    **dict.fromkeys(("queue", "buffer", "wait", "buffer_all", "enqueue"), "BUFFER_ALL"),
    **dict.fromkeys(("buffer_one",), "BUFFER_ONE"),
    **dict.fromkeys(("cancel", "replace", "cancel_other", "terminate", "cancel_running"), "CANCEL_OTHER"),
    **dict.fromkeys(("allow", "parallel", "allow_all"), "ALLOW"),
}


CONCURRENCY = frozenset(
    {
        *("concurrency", "max_concurrency", "max_instances", "max_active_runs", "concurrency_policy", "max_concurrent"),
        *("max_concurrent_runs", "concurrent_runs", "max_parallel_runs", "max_running", "allow_concurrent_runs"),
        *("allow_overlap", "allow_concurrent", "allow_parallel", "overlapping"),
    }
)
"""Words for how many runs there may be at a time."""


def _holders(work: Work) -> Iterator[tuple[Object, tuple[str, ...]]]:
    """The objects with durations, and the names of these."""
    pipeline, root = pipeline_of(work), work.draft.root
    if pipeline is not None:
        yield pipeline, ("timeout",)
    for step in steps_of(work):
        yield step, ("timeout", "every")
        if isinstance(step.get("retry"), Object):
            yield step["retry"], ("delay", "max_delay")
        if isinstance(step.get("needs_approval"), Object):
            yield step["needs_approval"], ("expires_in",)
    policy = root.get("run_policy")
    if isinstance(policy, Object):
        yield policy, POLICY_DURATIONS
        if isinstance(policy.get("retry"), Object):
            yield policy["retry"], ("delay", "max_delay")
    schedule = root.get("schedule")
    if isinstance(schedule, Object):
        yield schedule, ("jitter",)
        if isinstance(schedule.get("catch_up"), Object):
            yield schedule["catch_up"], ("window",)


def durations(work: Work) -> None:
    """`timeout: 30`, `timeout: 1 day`, `timeout_ms: 500` become durations with a unit."""
    for step in steps_of(work) if STEP_TIMEOUT in work.notes else ():
        if "uses" in step and not set(step) & {"timeout", "timeout_seconds", "until"}:
            work.draft.put(step, "timeout", work.notes[STEP_TIMEOUT], "The timeout of every step.", ASSUMED)
    for holder in [pipeline_of(work), *steps_of(work)]:
        for key in list(holder or ()):
            unit = TIMEOUT_UNITS.get(folded(key))
            native = key == "timeout_seconds" and isinstance(holder[key], int | float) if holder is not None else False
            if holder is not None and unit and not native and "timeout" not in holder and duration(holder[key], unit):
                value = duration(holder[key], unit)
                work.draft.rename(holder, key, "timeout", f"Renames `{key}` to `timeout`.")
                work.draft.put(holder, "timeout", _plain(str(value)), "Writes the duration with a unit.")
    for holder, names in _holders(work):
        for name in names:
            text = duration(holder.get(name))
            if text is not None and _asks_unit(work, holder, name):
                continue
            if text is not None and text != holder[name]:
                work.draft.put(holder, name, text, "Writes the duration with a unit.")


def _asks_unit(work: Work, holder: Object, name: str) -> bool:
    """Asks about a number of thousands, which may be milliseconds."""
    value = holder[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1000 or value % 1000:
        return False
    options = [
        Option("ms", f"{value} milliseconds, {value // 1000}s", [(holder, name, f"{value // 1000}s")]),
        Option("s", f"{value} seconds", [(holder, name, f"{value}s")]),
    ]
    text = f"`{name}: {value}` has no unit. Which one is meant?"
    work.draft.ask(Ask(f"{work.prefix}unit:{name}:{value}", text, options, "ms"))
    return True


def _plain(text: str) -> str:
    """Milliseconds that are whole seconds.

    >>> _plain("5000ms"), _plain("250ms")
    ('5s', '250ms')
    """
    if text.endswith("ms") and text[:-2].isdecimal() and int(text[:-2]) % 1000 == 0:
        return f"{int(text[:-2]) // 1000}s"
    return text


def numbers(work: Work) -> None:
    """Integers in quotes."""
    for step in steps_of(work):
        for key in ("max_parallel", "max_rounds", "retry"):
            _integer(work.draft, step, key)
        if isinstance(step.get("retry"), Object):
            _integer(work.draft, step["retry"], "max")
        if isinstance(value := step.get("max_parallel"), bool):
            work.draft.remove(step, "max_parallel", "A loop is concurrent by default." if value else "")
    pipeline = pipeline_of(work)
    if pipeline is not None:
        _integer(work.draft, pipeline, "version")


def _integer(draft: Draft, holder: Object, key: str) -> None:
    value = holder.get(key)
    if isinstance(value, str) and value.strip().isdecimal():
        draft.put(holder, key, int(value), "A number without quotes.")
    elif isinstance(value, float) and value.is_integer():
        holder[key] = int(value)


def policies(work: Work) -> None:
    """`overlap: skip`, `priority: high`, `max_concurrent_runs: 1` of a run policy."""
    policy = work.draft.root.get("run_policy") if isinstance(work.draft.root, Object) else None
    if not isinstance(policy, Object):
        return
    draft = work.draft
    retry = policy.get("retry")
    if isinstance(retry, str) and retry.strip().isdecimal():
        draft.put(policy, "retry", {"max": int(retry)}, "The retries of a task are an object.")
    _concurrency(draft, policy)
    _overlap(draft, policy)
    priority = policy.get("priority")
    if isinstance(priority, str):
        number = int(priority) if priority.strip().isdecimal() else PRIORITIES.get(priority.lower())
        if number is not None:
            draft.put(policy, "priority", number, "A priority is a number from 1 (urgent) to 9.", ASSUMED)


def _concurrency(draft: Draft, policy: Object) -> None:
    for key in list(policy):
        if folded(key) in CONCURRENCY:
            value: Any = policy[key]
            if isinstance(value, Object):
                cancels = next((item for name, item in value.items() if folded(name) == "cancel_in_progress"), False)
                value = "cancel" if cancels is True else "queue"
            name = OVERLAPS.get(folded(str(value)))
            if isinstance(value, int):
                name = "SKIP" if value is False or (value == 1 and value is not True) else "ALLOW"
            if name and "overlap" not in policy:
                draft.rename(policy, key, "overlap", f"Renames `{key}` to `overlap`.", ASSUMED)
                draft.put(policy, "overlap", {"policy": name}, "An overlap has a policy.", ASSUMED)


def _overlap(draft: Draft, policy: Object) -> None:
    overlap = policy.get("overlap")
    if isinstance(overlap, Object) and isinstance(overlap.get("policy"), str):
        name = OVERLAPS.get(folded(overlap["policy"]))
        if name and name != overlap["policy"]:
            draft.put(overlap, "policy", name, f"The policy is called {name}.")
    if isinstance(overlap, str) and (name := OVERLAPS.get(folded(overlap))) is not None:
        draft.put(policy, "overlap", {"policy": name}, "An overlap has a policy.")
    elif isinstance(overlap, bool):
        draft.put(policy, "overlap", {"policy": "ALLOW" if overlap else "SKIP"}, "An overlap has a policy.")
