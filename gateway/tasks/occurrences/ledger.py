"""ListOccurrences: the ledger of a task, with an outcome for every due instant."""

from gateway.api.filters import parse_filter
from gateway.api.json_values import timestamp
from gateway.api.ordering import TIE, parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import task_id
from gateway.authentication.caller import Caller
from ordinaut.errors import NotFoundError
from ordinaut.names import occurrence_id
from ordinaut.store.database import Database
from ordinaut.store.selection import Selection
from ordinaut.store.tasks import occurrence, task
from ordinaut.store.tasks.occurrence import FIELDS, KEY, OccurrenceRecord
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.task_service_pb2 import ListOccurrencesRequest, ListOccurrencesResponse

READ = "tasks:read"
NEWEST_FIRST = "time desc"


class Occurrences:
    """Implements ListOccurrences."""

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens

    async def list_page(self, request: ListOccurrencesRequest, caller: Caller) -> ListOccurrencesResponse:
        """Lists a page of the ledger, by default newest first.

        Raises:
            InvalidArgumentError: name, filter, order or page token is invalid.
            NotFoundError: the task does not exist, or the caller may not see it.
        """
        name, size = task_id(request.parent, "parent"), page_size(request.page_size)
        caller.require(READ, name)
        order = parse_order(request.order_by, {"time": FIELDS["time"], TIE: KEY}, NEWEST_FIRST)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, FIELDS)
        async with self._database.connection() as connection:
            uid = await task.find_uid(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if uid is None:
                raise NotFoundError.of(request.parent)

            async def read(after: str, count: int) -> list[OccurrenceRecord]:
                selection = Selection(FIELDS, order.beyond(after), condition)
                return await occurrence.list_page(connection, task=uid, selection=selection, size=count)

            page = await read_page(read, order.key, start, size, lambda record: to_occurrence(record, request.parent))
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListOccurrencesResponse(occurrences=page.messages, next_page_token=token)


def to_occurrence(record: OccurrenceRecord, parent: str) -> Occurrence:
    """Converts a row of the ledger."""
    message = Occurrence(
        name=f"{parent}/occurrences/{occurrence_id(record.name, record.instant)}",
        trigger=record.trigger,
        outcome=Occurrence.Outcome.Value(record.outcome),
        reason=record.reason,
        count=record.count,
        run=f"runs/{record.run}" if record.run else "",
        backfill=record.backfill or "",
        create_time=timestamp(record.create_time),
    )
    if record.instant is not None:
        message.due_time.FromDatetime(record.instant)
        message.last_due_time.FromDatetime(record.last_instant or record.instant)
    return message
