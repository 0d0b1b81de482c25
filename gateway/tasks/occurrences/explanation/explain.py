"""ExplainOccurrence: why a task ran at a moment, or did not."""

from gateway.api.json_values import moment_of, timestamp
from gateway.api.resource_names import task_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.clients import Scheduler
from gateway.health import Components
from gateway.runs.conversion import to_run
from gateway.tasks.occurrences.explanation.facts import Facts, Inquiry
from gateway.tasks.occurrences.explanation.verdict import Obstacle, obstacles, verdict
from gateway.tasks.occurrences.explanation.wording import LANGUAGES, Words
from gateway.tasks.occurrences.ledger import to_occurrence
from gateway.tasks.preview import END, FIRST
from ordinaut.errors import NotFoundError
from ordinaut.store import task
from ordinaut.store.database import Database
from ordinaut.v1.explanation_pb2 import Hindrance, OccurrenceExplanation
from ordinaut.v1.task_service_pb2 import ExplainOccurrenceRequest

READ = "tasks:read"
DEFAULT_LANGUAGE = "en"


class Explanation:
    """ExplainOccurrence."""

    def __init__(self, database: Database, scheduler: Scheduler, components: Components) -> None:
        self._database = database
        self._inquiry = Inquiry(database, scheduler, components)

    async def explain(self, request: ExplainOccurrenceRequest, caller: Caller) -> OccurrenceExplanation:
        """What is known of one moment, in fields and in words.

        Raises:
            InvalidArgumentError: name, time or language cannot be read.
            NotFoundError: there is no such task that the caller may see.
        """
        name = task_id(request.name)
        caller.require(READ, name)
        problems = Problems()
        if request.HasField("time") and not FIRST <= request.time.seconds < END:
            problems.add("time", "must lie in the years 1970 to 2200")
        if request.language and request.language not in LANGUAGES:
            problems.add("language", f"must be one of {', '.join(LANGUAGES)}")
        problems.check()
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(request.name)
        moment = moment_of(request.time) if request.HasField("time") else None
        facts = await self._inquiry.about(record, moment)
        return _answer(facts, request.name, Words(facts, request.language or DEFAULT_LANGUAGE))


def _answer(facts: Facts, parent: str, words: Words) -> OccurrenceExplanation:
    found = obstacles(facts)
    answer = OccurrenceExplanation(
        explanation=words.whole(found),
        verdict=verdict(facts),
        time=timestamp(facts.moment),
        hindrances=[_hindrance(obstacle, words) for obstacle in found],
    )
    if facts.entry is not None:
        answer.occurrence.CopyFrom(to_occurrence(facts.entry, parent))
    if facts.run is not None:
        answer.run.CopyFrom(to_run(facts.run))
    if facts.around is not None:
        for side in ("before", "after"):
            if facts.around.HasField(side):
                getattr(answer, side).CopyFrom(getattr(facts.around, side))
    return answer


def _hindrance(obstacle: Obstacle, words: Words) -> Hindrance:
    message = Hindrance(kind=obstacle.kind, message=words.obstacle(obstacle), resource=obstacle.resource)
    if obstacle.time is not None:
        message.time.FromDatetime(obstacle.time)
    return message
