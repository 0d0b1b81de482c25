# ruff: noqa: N802 - methods are named by the contract
"""ApprovalService: approvals are visible to their run's owner, their assignees and admins."""

from uuid import UUID

from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import IdOrdering, parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import agent_id, approval_id, run_id
from gateway.api.visibility import within_globs
from gateway.approvals.answer import ApprovalAnswer
from gateway.approvals.conversion import to_approval
from gateway.authentication.caller import AGENTS, Caller, current_caller
from ordinaut.errors import NotFoundError
from ordinaut.names import WITHOUT_TASK
from ordinaut.rpc.interceptor import Context
from ordinaut.store.database import Database
from ordinaut.store.runs import approval
from ordinaut.store.runs.approval import ApprovalRecord
from ordinaut.store.selection import Selection
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import (
    AnswerApprovalRequest,
    GetApprovalRequest,
    ListApprovalsRequest,
    ListApprovalsResponse,
)
from ordinaut.v1.approval_service_pb2_grpc import ApprovalServiceServicer

READ = "approvals:read"
WRITE = "approvals:write"
ME = "me"
NEWEST_FIRST = "create_time desc"
ORDERS = {"create_time": approval.ID}  # ids begin with the creation time


class Approvals(ApprovalServiceServicer):
    """Implements ApprovalService."""

    def __init__(self, database: Database, page_tokens: PageTokens, response: ApprovalAnswer) -> None:
        self._database = database
        self._page_tokens = page_tokens
        self._answer = response

    async def GetApproval(self, request: GetApprovalRequest, context: Context) -> Approval:
        """Returns one approval."""
        return to_approval(await self._visible(current_caller(), approval_id(request.name), READ))

    async def ListApprovals(self, request: ListApprovalsRequest, context: Context) -> ListApprovalsResponse:
        """Lists a page of the approvals that the caller may see, newest first."""
        caller, size = current_caller(), page_size(request.page_size)
        order = IdOrdering(approval.ID, parse_order(request.order_by, ORDERS, NEWEST_FIRST).descending)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, approval.FIELDS)
        condition = within_globs(condition, caller, READ, "task", "tasks/")
        states = [Approval.State.Name(state) for state in request.states]
        parent_run, assignee = run_id(request.run, "run") if request.run else None, _assignee(request, caller)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[ApprovalRecord]:
                return await approval.list_page(
                    connection,
                    project=caller.project,
                    agent=caller.owner_filter,
                    run=parent_run,
                    assignee=assignee,
                    states=states or None,
                    selection=Selection(approval.FIELDS, order.beyond(after), condition),
                    size=count,
                )

            page = await read_page(read, order.key, start, size, to_approval)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListApprovalsResponse(approvals=page.messages, next_page_token=token)

    async def AnswerApproval(self, request: AnswerApprovalRequest, context: Context) -> Approval:
        """Answers a pending approval and resumes its run."""
        caller, approval_uid = current_caller(), approval_id(request.name)
        mutation = Mutation(self._database, request, Approval)
        if (response := await mutation.stored_response()) is not None:
            return response
        return await self._answer.answer(request, caller, await self._visible(caller, approval_uid, WRITE), mutation)

    async def _visible(self, caller: Caller, approval_uid: UUID, scope: str) -> ApprovalRecord:
        """Returns an approval that the caller may see, and requires `scope` for its task."""
        async with self._database.connection() as connection:
            record = await approval.get(connection, approval_uid, project=caller.project, agent=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(f"approvals/{approval_uid}")
        caller.require(scope, record.task_name or WITHOUT_TASK)
        return record


def _assignee(request: ListApprovalsRequest, caller: Caller) -> str | None:
    if not request.assignee:
        return None
    return caller.name if request.assignee == ME else AGENTS + agent_id(request.assignee, "assignee")
