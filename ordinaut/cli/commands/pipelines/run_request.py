"""Builds the request to run or simulate a pipeline or task file without a task."""

from collections.abc import Collection
from typing import Any

from ordinaut.cli.output import UsageError


def run_request(document: dict[str, Any], file: str, rules: Collection[str]) -> dict[str, Any]:
    """Returns `{pipeline, params, run_policy}` of a task document; any other document is the pipeline.

    `rules` are the fields of `run_policy` that apply to such a run.

    Raises:
        typer.BadParameter: `params` or `run_policy` is not an object.
    """
    if "pipeline" not in document:
        return {"pipeline": document}
    pipeline, params, policy = (document.get(key, {}) for key in ("pipeline", "params", "run_policy"))
    if not isinstance(params, dict) or not isinstance(policy, dict):
        raise UsageError(f"{file}: `params` and `run_policy` must be objects")
    run_policy = {key: policy[key] for key in rules if key in policy}
    return {"pipeline": pipeline, "params": params, **({"run_policy": run_policy} if run_policy else {})}
