"""What follows from evaluated conditions: runs, results of waits, and triggers that are disabled."""

from collections.abc import Mapping, Sequence

from ordinaut.store import event, match_todo
from ordinaut.store.event import EventTrigger
from ordinaut.store.hints import BUFFERED, OUTBOX, RUN, WORK
from ordinaut.store.match_todo import Todo
from ordinaut.store.queue import wait
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.conditions.reading import wait_keys
from scheduler.conditions.work import Answer, Work
from scheduler.events.end_waits import resolve
from scheduler.events.enqueue import enqueue
from scheduler.events.match import Match, new_match, note_failure
from scheduler.metrics import CONDITION_FAILED, ENQUEUED, TRIGGERS_DISABLED, WAITS_ENDED

log = get_logger()
OVER_BUDGET = "CONDITION_OVER_BUDGET"


async def apply(connection: Connection, todo: Todo, work: Work, answer: Answer) -> set[str]:
    """Queues runs, ends waits and stores failures; returns the hints to send after the commit."""
    hints: set[str] = set()
    triggers = {trigger.id: trigger for trigger in work.triggers if trigger is not None}
    queued, buffered = await enqueue(connection, await _matches(connection, todo, answer, triggers))
    if queued:
        ENQUEUED.labels("event").inc(queued)
        hints |= {WORK, OUTBOX, *([BUFFERED] if buffered else [])}
    keys = wait_keys(todo, work.first)
    ended = [(*keys[each.condition], answer.events[each.event]) for each in answer.results]
    if ended and (woken := await resolve(connection, ended)):
        WAITS_ENDED.labels("event").inc(woken)
        hints |= {WORK, RUN}
    await wait.note_failures(connection, {keys[place]: text for place, text in answer.wait_failures.items()})
    await _note_failures(connection, triggers, answer)
    return hints


async def _matches(
    connection: Connection, todo: Todo, answer: Answer, triggers: Mapping[int, EventTrigger]
) -> list[Match]:
    """The runs to queue, of the triggers that may still start them: the evaluation took some time."""
    ids = list({hit.condition for hit in answer.matches})
    if not ids:
        return []
    current = {trigger.id for trigger in await match_todo.triggers(connection, ids)}
    first = min(hit.position for hit in answer.matches)
    await match_todo.hold_paused(connection, todo, [each for each in ids if each not in current], first - 1)
    started = (
        new_match(each.body, triggers[each.condition], answer.events[each.event])
        for each in answer.matches
        if each.condition in current
    )
    return [match for match in started if match is not None]


async def _note_failures(connection: Connection, triggers: Mapping[int, EventTrigger], answer: Answer) -> None:
    for trigger, failure in answer.failures.items():
        note_failure(triggers[trigger], failure)
    CONDITION_FAILED.inc(len(answer.wait_failures))
    counts = answer.exhaustions.items()
    changed = {trigger: count for trigger, count in counts if count != triggers[trigger].exhaustions}
    await match_todo.note_exhaustions(connection, changed)


async def disable(connection: Connection, todo: Todo, answer: Answer, costly: Sequence[int]) -> None:
    """Disables triggers over their budget; publishes an event for each."""
    for trigger in {**dict.fromkeys(costly), **answer.over}:
        position = answer.over.get(trigger, answer.after)
        disabled = await match_todo.disable(connection, todo, trigger, position, OVER_BUDGET)
        if disabled is not None:
            TRIGGERS_DISABLED.inc()
            log.warning("trigger_disabled", task=disabled.name, project=disabled.project, trigger=disabled.trigger)
            facts = {"trigger": disabled.trigger, "reason": OVER_BUDGET}
            message = event.of_task("trigger_disabled", disabled.task, disabled.name, **facts)
            await event.announce(connection, disabled.project, [message])
