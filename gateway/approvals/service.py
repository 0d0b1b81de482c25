# ruff: noqa: N802 - methods are named by the contract
"""ApprovalService: approvals are private to their run's owner, their assignees and admins."""

from uuid import UUID

from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import IdOrdering, parse_order
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import agent_id, approval_id, run_id
from gateway.approvals.answer import ApprovalAnswer
from gateway.approvals.conversion import to_approval
from gateway.authentication.caller import AGENTS, Caller, current_caller
from ordinaut.errors import NotFoundError
from ordinaut.rpc.interceptor import Context
from ordinaut.store import approval
from ordinaut.store.approval import ApprovalRecord
from ordinaut.store.database import Database
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
ORDERS = {"create_time": approval.ID}  # an approval's id begins with its time


class Approvals(ApprovalServiceServicer):
    """Answers calls about approvals."""

    def __init__(self, database: Database, pages: Pages, answer: ApprovalAnswer) -> None:
        self._database = database
        self._pages = pages
        self._answer = answer

    async def GetApproval(self, request: GetApprovalRequest, context: Context) -> Approval:
        """One approval."""
        return to_approval(await self._visible(current_caller(), approval_id(request.name), READ))

    async def ListApprovals(self, request: ListApprovalsRequest, context: Context) -> ListApprovalsResponse:
        """A page of the approvals that the caller may see, the newest first."""
        caller, size = current_caller(), page_size(request.page_size)
        order = IdOrdering(approval.ID, parse_order(request.order_by, ORDERS, NEWEST_FIRST).descending)
        start, condition = self._pages.start(request, caller), parse_filter(request.filter, approval.FIELDS)
        states = [Approval.State.Name(state) for state in request.states]
        of_run, assignee = run_id(request.run, "run") if request.run else None, _assignee(request, caller)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[ApprovalRecord]:
                return await approval.list_page(
                    connection,
                    project=caller.project,
                    agent=caller.owner_filter,
                    run=of_run,
                    assignee=assignee,
                    states=states or None,
                    selection=Selection(approval.FIELDS, order.beyond(after), condition),
                    size=count,
                )

            page = await filled(
                read, order.key, start, size, to_approval, lambda record: caller.may(READ, record.task_name)
            )
        token = self._pages.token(request, caller, order.key(page.last)) if page.last else ""
        return ListApprovalsResponse(approvals=page.messages, next_page_token=token)

    async def AnswerApproval(self, request: AnswerApprovalRequest, context: Context) -> Approval:
        """Answers a pending approval; the run goes on with it."""
        caller, wanted = current_caller(), approval_id(request.name)
        mutation = Mutation(self._database, request, Approval)
        if (answer := await mutation.earlier()) is not None:
            return answer
        return await self._answer.give(request, caller, await self._visible(caller, wanted, WRITE), mutation)

    async def _visible(self, caller: Caller, wanted: UUID, scope: str) -> ApprovalRecord:
        """The approval, when the caller may do `scope` with it; what others may see does not exist."""
        async with self._database.connection() as connection:
            record = await approval.get(connection, wanted, project=caller.project, agent=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(f"approvals/{wanted}")
        caller.require(scope, record.task_name)
        return record


def _assignee(request: ListApprovalsRequest, caller: Caller) -> str | None:
    if not request.assignee:
        return None
    return caller.name if request.assignee == ME else AGENTS + agent_id(request.assignee, "assignee")
