"""What children are runs of: tasks by their names, or documents that are kept for them."""

from collections.abc import Sequence

from ordinaut.limits import MAX_LIVE_RUNS
from ordinaut.store import child, inline_run, tool
from ordinaut.store.child import RunRules, Target
from ordinaut.store.sql import Connection
from ordinaut.store.task import Definition
from worker.effects.child_request import Birth
from worker.effects.errors import EffectError


async def targets_of(connection: Connection, births: Sequence[Birth]) -> dict[str, Target]:
    """What those that can be started are runs of, by the keys of their steps."""
    tasks, held = [birth for birth in births if birth.task], [birth for birth in births if not birth.task]
    names = [(birth.run.project, birth.task) for birth in tasks]
    found = await child.targets(connection, names, MAX_LIVE_RUNS) if tasks else []
    named = {(target.project, target.name): target for target in found}
    targets = {birth.key: named[name] for birth, name in zip(tasks, names, strict=True) if name in named}
    if held:
        rules = await child.rules(connection, [birth.run.id for birth in held])
        for birth in held:
            try:
                targets[birth.key] = await _kept(connection, birth, rules[birth.run.id])
            except EffectError as refusal:
                birth.refused = refusal
    return targets


async def _kept(connection: Connection, birth: Birth, rules: RunRules) -> Target:
    """A document, kept among those that its owner runs without a task; it has the rules of the run that starts it.

    Raises:
        EffectError: it uses tools that there are not.
    """
    run = birth.run
    missing = await tool.missing(connection, run.project, birth.tools)
    if missing:
        message = f"the pipeline cannot run: there is no tool {', '.join(missing)[:500]}"
        raise EffectError("VALIDATION_INPUT", message, tools=missing)
    definition = Definition(
        pipeline=birth.pipeline,
        tools=list(birth.tools),
        schedule="{}",
        run_policy=rules.run_policy,
        params="{}",
        params_schema=None,
        overlap="ALLOW",
        priority=rules.priority,
        max_losses=rules.max_losses,
        run_timeout=rules.run_timeout,
    )
    holder, version = await inline_run.keep(connection, project=run.project, owner=run.owner, definition=definition)
    live = await inline_run.live(connection, project=run.project, owner=run.owner, count_to=MAX_LIVE_RUNS)
    return Target(run.project, "", holder, run.owner, version, live)
