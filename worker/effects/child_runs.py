"""Children: runs that steps start, in the transaction that journals the step or suspends its run.

A step has one child, whoever comes to it: after a crash, by a retry of its run, from a backup. It is known by the
step's idempotency key.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_duration, parse_timestamp
from ordinaut.limits import MAX_CHAIN_DEPTH, MAX_LIVE_RUNS
from ordinaut.names import granted
from ordinaut.store import child, retry
from ordinaut.store.child import ChildColumns, EnqueuedChild, Target, root_of
from ordinaut.store.sql import Connection
from worker.effects.child_request import Birth
from worker.effects.child_targets import targets_of
from worker.effects.errors import EffectError

RUN_TASK = "orchestrator.run_task"
RUN_A_TASK, RUN_A_DOCUMENT = "tasks:run", "runs:write"
MAX_CHILDREN = 1000
"""Of one run, whatever became of them."""
FAN_OUT_LIMIT = "FAN_OUT_LIMIT"
OVERLAP = "OVERLAP"
FIRST = datetime(1, 1, 2, tzinfo=UTC)
LAST = datetime(9999, 1, 1, tzinfo=UTC)
NOTHING = EnqueuedChild(None, None)


async def start(connection: Connection, births: Sequence[Birth]) -> None:
    """Starts children of runs whose rows are locked, or finds those that were started before."""
    known = await child.known(connection, [birth.id for birth in births])
    ended = await child.states(connection, list(known.values())) if known else {}
    for birth in births:
        if (before := known.get(birth.id)) is not None:
            await _take_up(connection, birth, before, ended.get(before))
    await _begin(connection, [birth for birth in births if birth.id not in known])


async def _take_up(connection: Connection, birth: Birth, before: UUID, ended: str | None) -> None:
    """The child of this step that there is already; one that has failed is retried where its end is waited for."""
    birth.child = before
    if not birth.awaited:
        return
    if ended in {"FAILED", "CANCELLED"}:
        if not _is_permitted(birth):
            return
        again = await retry.enqueue(
            connection, retry_of=before, root=root_of(birth.id), run=await child.new_id(connection)
        )
        if again.run is None:
            birth.refused = _gone(birth) if not again.task_exists else _overlap(birth, again.live_run)
            return
        birth.child = again.run
    await child.adopt(connection, run=birth.child, parent=birth.run.id, path=birth.path)


async def _begin(connection: Connection, births: Sequence[Birth]) -> None:
    births = [birth for birth in births if _is_permitted(birth)]
    if not births:
        return
    targets = await targets_of(connection, births)
    room = _Room(await child.counts(connection, [birth.run.id for birth in births]))
    lines = await _lines(connection, births, targets)
    new, begun = ChildColumns(), []
    for birth in births:
        try:
            target = _visible(birth, targets.get(birth.key))
            _refuse_circle(birth, target, lines)
            room.take(birth, target)
            _add(new, birth, target)
        except EffectError as refusal:
            birth.refused = refusal
        else:
            begun.append(birth)
    queued = await child.enqueue(connection, new) if begun else {}
    for birth in begun:
        became = queued.get(birth.id, NOTHING)
        birth.child = became.run
        if birth.child is None:
            birth.refused = _overlap(birth, became.live_run)


async def _lines(
    connection: Connection, births: Sequence[Birth], targets: Mapping[str, Target]
) -> dict[UUID, set[UUID]]:
    """What may not be waited for, by the waiting run: asked for only where runs have to wait for their turn."""
    suspects = {
        birth.run.id
        for birth in births
        if birth.awaited and (target := targets.get(birth.key)) is not None and target.in_turn
    }
    return await child.lines(connection, list(suspects)) if suspects else {}


def _refuse_circle(birth: Birth, target: Target, lines: Mapping[UUID, set[UUID]]) -> None:
    """Lets a birth pass unless its child would wait for its turn until its parent has ended.

    Raises:
        EffectError: neither would ever end.
    """
    if target.in_turn and birth.awaited and target.uid in lines.get(birth.run.id, ()):
        message = f"a run of tasks/{target.name} waits for this one, and would have to end before another begins"
        raise EffectError("TOOL_ERROR", message, reason=OVERLAP)


class _Room:
    """How many children each run, and how many live runs each task may still get."""

    def __init__(self, counts: dict[UUID, int]) -> None:
        self._children = counts
        self._live: dict[UUID, int] = {}

    def take(self, birth: Birth, target: Target) -> None:
        """Counts one more.

        Raises:
            EffectError: that is one too many.
        """
        parent = birth.run.id
        if self._children.get(parent, 0) >= MAX_CHILDREN:
            raise EffectError(FAN_OUT_LIMIT, f"a run starts at most {MAX_CHILDREN} others", limit=MAX_CHILDREN)
        live = self._live.setdefault(target.uid, target.live_runs)
        if live >= MAX_LIVE_RUNS:
            whose = f"tasks/{target.name} has" if target.name else f"{target.owner} has, without a task,"
            raise EffectError(FAN_OUT_LIMIT, f"{whose} {live} live runs", limit=MAX_LIVE_RUNS)
        self._children[parent] = self._children.get(parent, 0) + 1
        self._live[target.uid] = live + 1


def _is_permitted(birth: Birth) -> bool:
    """Whether the run's owner may start such runs, and the chain is not too long; else it is refused."""
    run = birth.run
    if run.depth >= MAX_CHAIN_DEPTH:
        birth.refused = EffectError("DENIED", f"maximum run chain depth ({MAX_CHAIN_DEPTH}) exceeded")
    elif birth.task and not granted(run.scopes, RUN_A_TASK, birth.task):
        birth.refused = EffectError("DENIED", f"the task's owner may not run tasks/{birth.task}")
    elif not birth.task and not granted(run.scopes, RUN_A_DOCUMENT):
        birth.refused = EffectError("DENIED", "the task's owner may not run pipelines without a task")
    return birth.refused is None


def _visible(birth: Birth, target: Target | None) -> Target:
    """What is to run, when the run's owner may see it.

    Raises:
        EffectError: NOT_FOUND, or why it is refused already.
    """
    if birth.refused is not None:
        raise birth.refused
    if target is None or ("admin" not in birth.run.scopes and target.owner != birth.run.owner):
        raise _gone(birth)
    return target


def _gone(birth: Birth) -> EffectError:
    return EffectError("NOT_FOUND", f"there is no tasks/{birth.task}", task=f"tasks/{birth.task}")


def _overlap(birth: Birth, live_run: UUID | None) -> EffectError:
    live = {"live_run": f"runs/{live_run}"} if live_run else {}
    message = f"tasks/{birth.task} has a live run, and its overlap policy lets no other wait"
    return EffectError("TOOL_ERROR", message, reason=OVERLAP, **live)


def _add(new: ChildColumns, birth: Birth, target: Target) -> None:
    start_time, delay = _start_of(birth.given)
    new.parents.append(birth.run.id)
    new.paths.append(birth.path)
    new.keys.append(birth.id)
    new.tasks.append(target.uid)
    new.versions.append(target.version)
    new.params.append(orjson.dumps(birth.given.get("params") or {}).decode())
    new.start_times.append(start_time)
    new.delays_ms.append(delay)
    new.awaited.append(birth.awaited)


def _start_of(given: dict[str, Any]) -> tuple[datetime | None, int | None]:
    """A moment, or milliseconds from now.

    Raises:
        EffectError: it cannot be read.
    """
    if "delay" in given:
        span = parse_duration(given["delay"].strip())
        if span is None:
            raise EffectError("VALIDATION_INPUT", f"`delay` is a duration such as 90s, not {given['delay'][:50]!r}")
        return None, span // timedelta(milliseconds=1)
    if "start_time" not in given:
        return None, None
    try:
        moment = parse_timestamp(given["start_time"])
    except ExpressionError as failure:
        raise EffectError("VALIDATION_INPUT", f"`start_time`: {failure}") from None
    if not FIRST <= moment < LAST:
        raise EffectError("VALIDATION_INPUT", "`start_time` is a time before the year 9999")
    return moment, None
