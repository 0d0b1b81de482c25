"""The words that other systems use for the members of our documents."""

from collections.abc import Mapping
from functools import lru_cache

TASK_FIELDS = frozenset(
    {"name", "display_name", "description", "labels", "schedule", "run_policy", "pipeline", "params", "params_schema"}
)
OUTPUT_FIELDS = frozenset(
    {
        "uid",
        "owner",
        "create_time",
        "update_time",
        "upcoming",
        "explanation",
        "warnings",
        "fixes",
        "etag",
        "state_reason",
    }
)
"""Members of a task that the server sets: a document that was read from it may have them."""
TASK_WORDS: Mapping[str, str] = {
    "nume": "name",
    "descriere": "description",
    "program": "schedule",
    "orar": "schedule",
    "parametri": "params",
    "run_schedule": "schedule",
    **dict.fromkeys(("schedule_interval", "schedule_expression", "scheduling", "cron_schedule"), "schedule"),
    **dict.fromkeys(("title", "label", "display", "displayname", "human_name", "summary_title"), "display_name"),
    **dict.fromkeys(("desc", "notes", "note", "comment", "comments", "about", "summary", "doc", "help"), "description"),
    **dict.fromkeys(("policy", "policies", "runpolicy", "execution_policy"), "run_policy"),
    **dict.fromkeys(
        ("schedules", "trigger", "triggers", "on", "when", "timing", "recurrence", "starts_on"), "schedule"
    ),
    **dict.fromkeys(("workflow", "flow", "job", "definition", "spec", "playbook"), "pipeline"),
    **dict.fromkeys(
        (
            "inputs",
            "input",
            "parameters",
            "variables",
            "vars",
            "args",
            "arguments",
            "env",
            "param",
            "values",
        ),
        "params",
    ),
    **dict.fromkeys(("schema", "params_spec", "input_schema", "inputs_schema", "parameters_schema"), "params_schema"),
}
STEP_LISTS = (
    "pasi",
    "pași",
    "steps",
    "tasks",
    "jobs",
    "stages",
    "actions",
    "activities",
    "operations",
    "flow",
    "sequence",
    "run_steps",
    "nodes",
)
"""Words for the list of steps."""
PIPELINE_FIELDS = frozenset({"version", "steps", "output", "on_error", "timeout"})
PIPELINE_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("result", "returns", "outputs", "return", "output_value"), "output"),
    **dict.fromkeys(("catch", "on_failure", "onerror", "errors", "error_handler", "failure", "on_fail"), "on_error"),
    **dict.fromkeys(("timeout_in_seconds",), "timeout_seconds"),
}
SCHEDULE_FIELDS = frozenset(
    {
        *("triggers", "time_zone", "start_time", "end_time", "exclusions", "jitter", "dst", "catch_up"),
        "max_occurrences",
    }
)
SCHEDULE_WORDS: Mapping[str, str] = {
    "fus_orar": "time_zone",
    "fus": "time_zone",
    **dict.fromkeys(("timezone", "tz", "zone", "time-zone", "timezone_name", "tzinfo", "tz_name", "tzid"), "time_zone"),
    **dict.fromkeys(("timezone_id", "time_zone_id", "zone_id", "iana", "iana_zone", "schedule_timezone"), "time_zone"),
    **dict.fromkeys(
        ("start", "start_date", "starts_at", "start_at", "begin", "from", "starts", "not_before"), "start_time"
    ),
    **dict.fromkeys(
        ("end", "end_date", "ends_at", "end_at", "until", "ends", "expires", "not_after", "to"), "end_time"
    ),
    **dict.fromkeys(
        ("exclude", "excludes", "except", "holidays", "skip_dates", "exclude_dates", "excluding"), "exclusions"
    ),
    **dict.fromkeys(("catchup", "misfire", "missed", "backfill", "catch-up"), "catch_up"),
    **dict.fromkeys(
        ("count", "max_runs", "repeat", "limit", "occurrences", "times", "max_executions"), "max_occurrences"
    ),
    **dict.fromkeys(("random_delay", "splay", "randomize"), "jitter"),
    **dict.fromkeys(("trigger",), "triggers"),
}
TRIGGER_KINDS = ("cron", "rrule", "interval", "once", "event")
TRIGGER_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("cron_expression", "cronexpression", "crontab", "cron_schedule", "cron_expr", "cron_string"), "cron"
    ),
    **dict.fromkeys(("recurrence", "rule", "ical"), "rrule"),
    **dict.fromkeys(("run_at", "datetime", "date", "run_once", "one_time", "scheduled_at", "on_date"), "once"),
    **dict.fromkeys(("on_event", "event_name", "topic", "on"), "event"),
    "crons": "cron",
    **dict.fromkeys(("every", "repeat_every", "frequency", "period", "each"), "interval"),
}
STEP_FIELDS = frozenset(
    {
        *(
            "id",
            "name",
            "uses",
            "with",
            "do",
            "branches",
            "foreach",
            "max_parallel",
            "tolerate",
            "if",
            "else",
            "save_as",
        ),
        *("until", "every", "max_rounds", "retry", "timeout", "on_error", "needs_approval"),
        *("timeout_seconds", "max_retries"),
    }
)
STEP_WORDS: Mapping[str, str] = {
    "parametri": "with",
    "unealta": "uses",
    "daca": "if",
    "dacă": "if",
    **dict.fromkeys(("otherwise", "orelse", "or_else", "else_do", "else_steps"), "else"),
    **dict.fromkeys(("repeat_until", "loop_until", "poll_until", "do_until"), "until"),
    **dict.fromkeys(("poll_interval", "poll_every", "polling_interval", "interval", "check_every"), "every"),
    **dict.fromkeys(("check_interval", "loop_delay", "poll_delay", "wait_between", "interval_seconds"), "every"),
    **dict.fromkeys(("rounds", "max_iterations", "max_polls", "max_loops"), "max_rounds"),
    **dict.fromkeys(("tolerance", "tolerated", "max_failures", "allowed_failures", "allow_failures"), "tolerate"),
    **dict.fromkeys(
        ("use", "tool", "action", "call", "using", "function", "operator", "run", "tool_name", "plugin"), "uses"
    ),
    **dict.fromkeys(("module", "command", "component", "invoke", "fn", "func", "uses_tool", "task", "service"), "uses"),
    **dict.fromkeys(
        (
            "args",
            "arguments",
            "input",
            "inputs",
            "params",
            "parameters",
            "body",
            "kwargs",
            "payload",
            "op_kwargs",
            "config",
        ),
        "with",
    ),
    **dict.fromkeys(
        ("values", "data", "options", "settings", "tool_input", "args_", "parameter", "properties"), "with"
    ),
    **dict.fromkeys(
        ("when", "condition", "only_if", "run_if", "where", "if_", "cond", "conditions", "only_when"), "if"
    ),
    **dict.fromkeys(("guard", "enabled_if", "runif", "onlyif", "skip_unless", "run_when", "filter", "if_cond"), "if"),
    **dict.fromkeys(
        ("save", "output", "store_as", "register", "saveas", "store", "output_as", "result", "assign_to", "assign"),
        "save_as",
    ),
    **dict.fromkeys(("output_var", "result_var", "into", "save_to", "output_key", "result_as", "export_as"), "save_as"),
    **dict.fromkeys(("retries", "max_attempts", "attempts", "retry_count", "retry_policy", "max_retries"), "retry"),
    **dict.fromkeys(("retrypolicy", "retry_limit", "max_tries", "tries", "try", "retrying"), "retry"),
    **dict.fromkeys(
        ("catch", "on_failure", "onerror", "error", "on_fail", "rescue", "on_exception", "fallback"), "on_error"
    ),
    **dict.fromkeys(("description", "comment", "title", "label", "display_name", "desc", "summary", "note"), "name"),
    **dict.fromkeys(
        ("step", "key", "step_id", "task_id", "ref", "identifier", "slug", "node_id", "stage", "job"), "id"
    ),
    **dict.fromkeys(
        ("for_each", "for", "each", "loop", "items", "with_items", "iterate", "foreach_item", "loop_over", "over"),
        "foreach",
    ),
    **dict.fromkeys(("map", "iterator", "repeat_for", "collection", "matrix", "for_all"), "foreach"),
    **dict.fromkeys(("steps", "block", "then", "tasks", "actions", "children", "sequence"), "do"),
    **dict.fromkeys(
        ("approval", "approve", "requires_approval", "confirm", "needs_confirmation", "manual_approval"),
        "needs_approval",
    ),
    **dict.fromkeys(("parallel", "branch", "fork", "concurrently", "parallel_steps"), "branches"),
    **dict.fromkeys(
        ("parallelism", "concurrency", "max_concurrency", "batch_size", "max_concurrent", "max_workers", "maxparallel"),
        "max_parallel",
    ),
    **dict.fromkeys(
        ("timeout_sec", "timeout_secs", "timeout_s", "timeoutseconds", "timeout_in_seconds"), "timeout_seconds"
    ),
    **dict.fromkeys(("execution_timeout", "max_duration", "time_limit", "deadline", "time_out"), "timeout"),
}
RETRY_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("retries", "count", "limit", "max_retries", "times", "maximum"), "max"),
    **dict.fromkeys(
        ("wait", "interval", "initial_delay", "initial_interval", "retry_delay", "backoff_seconds"), "delay"
    ),
    **dict.fromkeys(("delay_seconds", "wait_seconds", "interval_seconds", "initial", "sleep", "pause"), "delay"),
    **dict.fromkeys(
        ("multiplier", "backoff_factor", "backoff_multiplier", "backoff_coefficient", "backoff_rate"), "factor"
    ),
    **dict.fromkeys(("max_interval", "maximum_interval", "max_wait", "max_backoff", "maximum_delay"), "max_delay"),
    **dict.fromkeys(("on", "retry_on", "errors", "error_codes", "on_codes"), "codes"),
}
ATTEMPT_WORDS = frozenset({"max_attempts", "attempts", "maximum_attempts", "max_tries", "tries"})
"""Words that count the first attempt as well."""
ORDER_WORDS = frozenset(
    {
        "needs",
        "depends_on",
        "after",
        "dependson",
        "depends",
        "requires",
        "dependencies",
        "upstream",
        "run_after",
        "wait_for",
    }
)
"""Words for the steps that a step follows."""
ITEM_WORDS = frozenset(
    {"as", "item_var", "loop_var", "item", "iterator_name", "each_as", "item_name", "var", "as_", "alias"}
)
"""Words for the name of the element of a loop."""
PARALLEL_WORDS = frozenset({"mode", "execution", "strategy"})
APPROVAL_WORDS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "approvers",
            "approver",
            "assignee",
            "assigned_to",
            "reviewer",
            "reviewers",
            "who",
            "users",
            "by",
            "owners",
            "from",
        ),
        "assignees",
    ),
    "instructions": "message",
    **dict.fromkeys(("text", "question", "prompt", "title", "msg", "description", "reason", "ask"), "message"),
    **dict.fromkeys(
        ("timeout", "expires", "expires_after", "deadline", "ttl", "expire_in", "timeout_seconds"), "expires_in"
    ),
    **dict.fromkeys(("options", "answers", "buttons"), "choices"),
    **dict.fromkeys(("payload", "context", "details", "subject"), "data"),
}
TRIVIA = frozenset(
    {
        *(
            "runs_on",
            "shell",
            "working_directory",
            "email_on_failure",
            "email_on_retry",
            "email",
            "queue",
            "pool",
            "owner",
        ),
        *("trigger_rule", "depends_on_past", "environment_name", "image", "log_level", "display_icon", "notes_in_flow"),
        *("tags", "author", "created_by", "icon", "color", "position", "metadata", "annotations", "docs", "meta", "ui"),
        *("created_at", "updated_at", "$schema", "schema_version", "kind", "apiversion", "api_version", "typeversion"),
        *("category", "team", "reference", "link", "url_docs", "order", "index", "x", "y"),
    }
)
"""Members that describe and do nothing."""


@lru_cache(maxsize=4096)
def folded(key: str) -> str:
    """A key in the spelling of the tables: lower case, words joined by `_`.

    >>> folded("dependsOn"), folded("Time-Zone"), folded("maxRetries")
    ('depends_on', 'time_zone', 'max_retries')
    """
    words = "".join(
        f"_{letter.lower()}" if letter.isupper() and index and key[index - 1].islower() else letter.lower()
        for index, letter in enumerate(key)
    )
    return words.replace("-", "_").replace(" ", "_").strip("_")


def meaning(key: str, words: Mapping[str, str]) -> str | None:
    """The member that a key means; None if it is not in the table.

    >>> meaning("runIf", STEP_WORDS), meaning("colour", STEP_WORDS)
    ('if', None)
    """
    name = folded(key)
    return words.get(name) or words.get(name.replace("_", ""))
