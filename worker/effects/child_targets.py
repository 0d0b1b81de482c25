"""Targets of child runs: tasks by their names, or documents that are stored for them."""

from collections.abc import Sequence

from ordinaut.limits import MAX_LIVE_RUNS
from ordinaut.store import tool
from ordinaut.store.queue import child
from ordinaut.store.queue.child import RunRules, Target
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import inline_run
from ordinaut.store.tasks.task import Definition
from worker.effects.child_request import ChildRequest
from worker.effects.errors import EffectError


async def targets_of(connection: Connection, requests: Sequence[ChildRequest]) -> dict[str, Target]:
    """The targets of the requests that can be started, by the key of the step; sets the errors of documents."""
    of_tasks = [request for request in requests if request.task]
    of_documents = [request for request in requests if not request.task]
    names = [(request.run.project, request.task) for request in of_tasks]
    tasks = await child.targets(connection, names, MAX_LIVE_RUNS) if names else []
    by_name = {(target.project, target.name): target for target in tasks}
    targets = {request.key: by_name[name] for request, name in zip(of_tasks, names, strict=True) if name in by_name}
    if of_documents:
        rules = await child.rules(connection, [request.run.id for request in of_documents])
        for request in of_documents:
            try:
                targets[request.key] = await _store_document(connection, request, rules[request.run.id])
            except EffectError as error:
                request.error = error
    return targets


async def _store_document(connection: Connection, request: ChildRequest, rules: RunRules) -> Target:
    """Stores a document among its owner's runs without a task, with the rules of the run that starts it.

    Raises:
        EffectError: it uses unknown tools.
    """
    run = request.run
    missing = await tool.missing(connection, run.project, request.tools)
    if missing:
        message = f"the pipeline uses unknown tools: {', '.join(missing)[:500]}"
        raise EffectError("VALIDATION_INPUT", message, tools=missing)
    definition = Definition(
        pipeline=request.pipeline,
        tools=list(request.tools),
        scopes=sorted(run.scopes),
        schedule="{}",
        run_policy=rules.run_policy,
        params="{}",
        params_schema=None,
        overlap="ALLOW",
        priority=rules.priority,
        max_losses=rules.max_losses,
        run_timeout=rules.run_timeout,
    )
    holder, version = await inline_run.store_version(
        connection, project=run.project, owner=run.owner, definition=definition
    )
    live, over_quota = await inline_run.room(connection, project=run.project, owner=run.owner, count_to=MAX_LIVE_RUNS)
    return Target(run.project, "", holder, run.owner, version, live, over_quota=over_quota)
