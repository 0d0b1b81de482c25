# ruff: noqa: N802 - methods are named by the contract
"""ProjectService: projects for operators of the installation, and the erasure of a person's data for admins of one."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from gateway.api.errors import already_exists
from gateway.api.idempotency import Mutation
from gateway.api.json_values import fill_struct, parse, timestamp
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.rehearsal import refuse_change
from gateway.api.resource_names import project_id
from gateway.api.violations import Problems, got
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import current_caller
from gateway.projects.erase import Erasure
from ordinaut.errors import AlreadyExistsError, NotFoundError
from ordinaut.names import RESOURCE_ID
from ordinaut.rpc.interceptor import Context
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.projects import export, project
from ordinaut.store.projects.project import ProjectRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.project_pb2 import Project
from ordinaut.v1.project_service_pb2 import (
    CreateProjectRequest,
    DeleteProjectRequest,
    EraseSubjectRequest,
    EraseSubjectResponse,
    ExportProjectRequest,
    ExportProjectResponse,
    GetProjectRequest,
    ListProjectsRequest,
    ListProjectsResponse,
)
from ordinaut.v1.project_service_pb2_grpc import ProjectServiceServicer

EXPORT = "/ordinaut.v1.ProjectService/ExportProject"


class Projects(ProjectServiceServicer):
    """Implements ProjectService."""

    def __init__(self, database: Database, page_tokens: PageTokens, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._database = database
        self._page_tokens = page_tokens
        self._erasure = Erasure(database, page_tokens)

    async def CreateProject(self, request: CreateProjectRequest, context: Context) -> Project:
        """Creates a project; the token of its admin is in this response only."""
        mutation = Mutation(self._database, request, Project, has_secret=True)
        if (response := await mutation.stored_response()) is not None:
            return response
        _check(request)
        name = request.project_id

        async def work(connection: Connection) -> Project:
            try:
                token = await identity.add_project(connection, name)
            except AlreadyExistsError:
                raise already_exists(f"projects/{name}") from None
            return _to_project(await _existing(connection, name), token)

        return await mutation.execute(work)

    async def GetProject(self, request: GetProjectRequest, context: Context) -> Project:
        """Returns one project."""
        name = project_id(request.name)
        async with self._database.connection() as connection:
            return _to_project(await _existing(connection, name))

    async def ListProjects(self, request: ListProjectsRequest, context: Context) -> ListProjectsResponse:
        """Lists a page of the projects."""
        caller, size = current_caller(), page_size(request.page_size)
        start = self._page_tokens.start(request, caller)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[ProjectRecord]:
                return await project.list_page(connection, after=after, size=count)

            page = await read_page(read, lambda record: record.name, start, size, _to_project)
        token = self._page_tokens.token(request, caller, page.last.name) if page.last else ""
        return ListProjectsResponse(projects=page.messages, next_page_token=token)

    async def DeleteProject(self, request: DeleteProjectRequest, context: Context) -> Project:
        """Ends the tokens of a project; a scheduler deletes everything else. Gateways may accept them for 2 seconds."""
        name = project_id(request.name)
        mutation = Mutation(self._database, request, Project)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> Project:
            mutation.replaces(_to_project(await _existing(connection, name)))
            record = await project.begin_removal(connection, name)
            if record is None:
                raise NotFoundError.of(request.name)
            return _to_project(record)

        return await mutation.execute(work)

    async def ExportProject(
        self, request: ExportProjectRequest, context: Context
    ) -> AsyncIterator[ExportProjectResponse]:
        """Streams every row of a project from one snapshot."""
        name = project_id(request.name)
        refuse_change()
        recheck = self._authenticator.scope_recheck(context, EXPORT)
        async with self._database.transaction() as connection, aclosing(export.rows(connection, name)) as rows:
            exists = False
            async for row in rows:
                exists = True
                await recheck()
                response = ExportProjectResponse(table=row.table)
                fill_struct(response.row, parse(row.row))
                yield response
            if not exists:
                raise NotFoundError.of(request.name)

    async def EraseSubject(self, request: EraseSubjectRequest, context: Context) -> EraseSubjectResponse:
        """Erases what contains an identifier, or counts it."""
        return await self._erasure.erase(request, current_caller())


async def _existing(connection: Connection, name: str) -> ProjectRecord:
    record = await project.get(connection, name)
    if record is None:
        raise NotFoundError.of(f"projects/{name}")
    return record


def _check(request: CreateProjectRequest) -> None:
    problems = Problems()
    problems.identifier("project_id", request.project_id, RESOURCE_ID)
    if request.project.name not in {"", f"projects/{request.project_id}"}:
        message = f"must be projects/{request.project_id} or omitted {got(request.project.name)}"
        problems.add("project.name", message, ErrorReason.NAME_INVALID)
    problems.not_writable("project", request.project)
    problems.check()


def _to_project(record: ProjectRecord, token: str = "") -> Project:
    message = Project(
        name=f"projects/{record.name}",
        state=Project.State.Value(record.state),
        create_time=timestamp(record.create_time),
        admin_token=token,
    )
    if record.delete_time is not None:
        message.delete_time.FromDatetime(record.delete_time)
    return message
