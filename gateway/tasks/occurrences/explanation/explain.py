"""ExplainOccurrence: explains why a task ran at a time, or did not."""

from gateway.api.json_values import timestamp, to_datetime
from gateway.api.resource_names import task_id
from gateway.api.violations import Problems, one_of
from gateway.authentication.caller import Caller
from gateway.clients import SchedulerClient
from gateway.health import Health
from gateway.runs.conversion import to_run
from gateway.tasks.occurrences.explanation.facts import Facts, FactsReader
from gateway.tasks.occurrences.explanation.verdict import Obstacle, obstacles, verdict
from gateway.tasks.occurrences.explanation.wording import LANGUAGES, Wording
from gateway.tasks.occurrences.ledger import to_occurrence
from gateway.tasks.preview import END, FIRST, outside_years
from ordinaut.errors import NotFoundError
from ordinaut.store.database import Database
from ordinaut.store.tasks import task
from ordinaut.v1.explanation_pb2 import Hindrance, OccurrenceExplanation
from ordinaut.v1.task_service_pb2 import ExplainOccurrenceRequest

READ = "tasks:read"
DEFAULT_LANGUAGE = "en"


class Explanation:
    """Implements ExplainOccurrence."""

    def __init__(self, database: Database, scheduler: SchedulerClient, health: Health) -> None:
        self._database = database
        self._reader = FactsReader(database, scheduler, health)

    async def explain(self, request: ExplainOccurrenceRequest, caller: Caller) -> OccurrenceExplanation:
        """Returns the facts about one time, in fields and in words.

        Raises:
            InvalidArgumentError: name, time or language is invalid.
            NotFoundError: the task does not exist, or the caller may not see it.
        """
        name = task_id(request.name)
        caller.require(READ, name)
        problems = Problems()
        if request.HasField("time") and not FIRST <= request.time.seconds < END:
            problems.add("time", outside_years(request.time))
        if request.language and request.language not in LANGUAGES:
            problems.add("language", one_of(LANGUAGES, request.language))
        problems.check()
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(request.name)
        time = to_datetime(request.time) if request.HasField("time") else None
        facts = await self._reader.read(record, time)
        return _to_response(facts, request.name, Wording(facts, request.language or DEFAULT_LANGUAGE))


def _to_response(facts: Facts, parent: str, words: Wording) -> OccurrenceExplanation:
    causes = obstacles(facts)
    response = OccurrenceExplanation(
        explanation=words.text(causes),
        verdict=verdict(facts),
        time=timestamp(facts.time),
        hindrances=[_hindrance(obstacle, words) for obstacle in causes],
    )
    if facts.entry is not None:
        response.occurrence.CopyFrom(to_occurrence(facts.entry, parent))
    if facts.run is not None:
        response.run.CopyFrom(to_run(facts.run))
    if facts.around is not None:
        for side in ("before", "after"):
            if facts.around.HasField(side):
                getattr(response, side).CopyFrom(getattr(facts.around, side))
    return response


def _hindrance(obstacle: Obstacle, words: Wording) -> Hindrance:
    message = Hindrance(kind=obstacle.kind, message=words.obstacle(obstacle), resource=obstacle.resource)
    if obstacle.time is not None:
        message.time.FromDatetime(obstacle.time)
    return message
