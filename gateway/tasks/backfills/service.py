"""GetBackfill, ListBackfills and CancelBackfill: backfills have the visibility of their task."""

from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import backfill_ids, task_id
from gateway.api.violations import REASON_MAX, Problems
from gateway.authentication.caller import Caller
from gateway.tasks.backfills.conversion import to_backfill
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill, task
from ordinaut.store.tasks.backfill import FIELDS, BackfillRecord
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_service_pb2 import (
    CancelBackfillRequest,
    GetBackfillRequest,
    ListBackfillsRequest,
    ListBackfillsResponse,
)

READ, WRITE = "tasks:read", "tasks:write"
NEWEST_FIRST = "create_time desc"


class Backfills:
    """Implements GetBackfill, ListBackfills and CancelBackfill."""

    def __init__(self, database: Database, hints: Hints, page_tokens: PageTokens) -> None:
        self._database = database
        self._hints = hints
        self._page_tokens = page_tokens

    async def get(self, request: GetBackfillRequest, caller: Caller) -> Backfill:
        """Returns one backfill with its progress.

        Raises:
            NotFoundError: the backfill does not exist, or the caller may not see it.
        """
        name, backfill_id = backfill_ids(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            return to_backfill(await _existing(connection, caller, name, backfill_id))

    async def list_page(self, request: ListBackfillsRequest, caller: Caller) -> ListBackfillsResponse:
        """Lists a page of a task's backfills, by default newest first.

        Raises:
            InvalidArgumentError: name, filter, order or page token is invalid.
            NotFoundError: the task does not exist, or the caller may not see it.
        """
        name, size = task_id(request.parent, "parent"), page_size(request.page_size)
        caller.require(READ, name)
        order = parse_order(request.order_by, FIELDS, NEWEST_FIRST)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, FIELDS)
        async with self._database.connection() as connection:
            uid = await task.find_uid(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if uid is None:
                raise NotFoundError.of(request.parent)

            async def read(after: str, count: int) -> list[BackfillRecord]:
                selection = Selection(FIELDS, order.beyond(after), condition)
                return await backfill.list_page(connection, task=uid, selection=selection, size=count)

            page = await read_page(read, order.key, start, size, to_backfill)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListBackfillsResponse(backfills=page.messages, next_page_token=token)

    async def cancel(self, request: CancelBackfillRequest, caller: Caller) -> Backfill:
        """Cancels a backfill, which starts no further runs; optionally cancels its live runs.

        Raises:
            NotFoundError: the backfill does not exist, or the caller may not see it.
            FailedPreconditionError: BACKFILL_STATE: it is COMPLETED.
        """
        name, backfill_id = backfill_ids(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Backfill)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        problems.text("reason", request.reason, REASON_MAX)
        problems.check()
        reason = request.reason or f"cancelled by {caller.name}"

        async def work(connection: Connection) -> Backfill:
            before = await _existing(connection, caller, name, backfill_id)
            mutation.replaces(to_backfill(before))
            await backfill.cancel(connection, before.task, backfill_id, reason)
            after = await _existing(connection, caller, name, backfill_id)
            if after.state == "COMPLETED":
                raise FailedPreconditionError(
                    ErrorReason.BACKFILL_STATE, f"{request.name} must not be COMPLETED", {"state": after.state}
                )
            if request.cancel_runs:
                live = await backfill.live_runs(connection, after.uid)
                await due_work_finish.cancel_runs(connection, runs=live, reason=reason)
            return to_backfill(after)

        response = await mutation.execute(work)
        self._hints.send(CANCEL, RUN, OUTBOX)
        return response


async def _existing(connection: Connection, caller: Caller, name: str, backfill_id: str) -> BackfillRecord:
    uid = await task.find_uid(connection, project=caller.project, name=name, owner=caller.owner_filter)
    record = await backfill.get(connection, uid, backfill_id) if uid else None
    if record is None:
        raise NotFoundError.of(f"tasks/{name}/backfills/{backfill_id}")
    return record
