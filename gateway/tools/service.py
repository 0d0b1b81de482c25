# ruff: noqa: N802 - methods are named by the contract
"""ToolService: tools are shared inside the project by scope; only their owner and admins change them."""

from google.protobuf.empty_pb2 import Empty

from gateway.api.field_masks import apply, masked_paths, require_etag
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import tool_id
from gateway.api.violations import Problems, output_only, reroot
from gateway.authentication.caller import Caller, current_caller, missing_scope
from gateway.clients import Engines
from gateway.definitions.references import CALL, SYSTEM_TOOLS
from gateway.tools.call import ToolCall
from gateway.tools.conversion import check_tool, to_definition, to_tool
from ordinaut.errors import AbortedError, AlreadyExistsError, NotFoundError, PermissionDeniedError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateToolRequest
from ordinaut.names import SECRET, SYSTEM_PROJECT, USE_SECRET, split_name
from ordinaut.rpc.interceptor import Context
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.tool import ToolRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import (
    CallToolRequest,
    CreateToolRequest,
    DeleteToolRequest,
    GetToolRequest,
    ListToolsRequest,
    ListToolsResponse,
    UpdateToolRequest,
)
from ordinaut.v1.tool_service_pb2_grpc import ToolServiceServicer

READ = "tools:read"
WRITE = "tools:write"
FLEETING = frozenset({"update_time"})


class Tools(ToolServiceServicer):
    """Answers calls about tools."""

    def __init__(self, database: Database, pages: Pages, engines: Engines, call: ToolCall) -> None:
        self._database = database
        self._pages = pages
        self._engines = engines
        self._call = call

    async def CreateTool(self, request: CreateToolRequest, context: Context) -> Tool:
        """Registers a tool after an engine has checked its schemas and transport."""
        caller = current_caller()
        mutation = Mutation(self._database, request, Tool)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        name = _chosen_id(problems, request)
        problems.not_writable("tool", request.tool)
        _refuse_reserved(name)
        caller.require(WRITE, name)
        name_field = "tool_id" if request.tool_id else "tool.name"
        definition = await self._checked(problems, request.tool, name, name_field, caller)

        async def work(connection: Connection) -> Tool:
            record = await tool.create(
                connection, project=caller.project, name=name, owner=caller.name, definition=definition
            )
            if record is None:
                raise AlreadyExistsError(
                    ErrorReason.RESOURCE_EXISTS, f"tools/{name} exists", {"resource": f"tools/{name}"}
                )
            return to_tool(record)

        return await mutation.once(work)

    async def GetTool(self, request: GetToolRequest, context: Context) -> Tool:
        """One tool of the project or of the system."""
        caller, name = current_caller(), tool_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            return to_tool(await _existing(connection, caller, name))

    async def ListTools(self, request: ListToolsRequest, context: Context) -> ListToolsResponse:
        """A page of the project's tools and the system's."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, tool.FIELDS)
        start, condition = self._pages.start(request, caller), parse_filter(request.filter, tool.FIELDS)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[ToolRecord]:
                selection = Selection(tool.FIELDS, order.beyond(after), condition)
                return await tool.list_page(connection, project=caller.project, selection=selection, size=count)

            page = await filled(read, order.key, start, size, to_tool, lambda record: caller.may(READ, record.name))
        token = self._pages.token(request, caller, order.key(page.last)) if page.last else ""
        return ListToolsResponse(tools=page.messages, next_page_token=token)

    async def UpdateTool(self, request: UpdateToolRequest, context: Context) -> Tool:
        """Changes what the mask names; runs that are claimed from now on see it."""
        caller, name = current_caller(), tool_id(request.tool.name, "tool.name")
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Tool)
        if (answer := await mutation.earlier()) is not None:
            return answer
        async with self._database.connection() as connection:
            stored = await _changeable(connection, caller, name, request.tool.etag)
        problems = Problems()
        paths = masked_paths(problems, request.tool, request.update_mask)
        current = to_tool(stored)
        if not request.update_mask.paths:
            _refuse_foreign_values(problems, request.tool, current)
        wanted = apply(current, request.tool, [] if problems.found else paths)
        definition = await self._checked(problems, wanted, name, "tool.name", caller)

        async def work(connection: Connection) -> Tool:
            record = await tool.update(
                connection, project=caller.project, name=name, revision=stored.revision, definition=definition
            )
            if record is None:
                raise _faster(name)
            return to_tool(record)

        return await mutation.once(work)

    async def DeleteTool(self, request: DeleteToolRequest, context: Context) -> Empty:
        """Removes a tool; steps that use it fail from now on."""
        caller, name = current_caller(), tool_id(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Empty)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def work(connection: Connection) -> Empty:
            stored = await _changeable(connection, caller, name, request.etag)
            if not await tool.delete(connection, project=caller.project, name=name, revision=stored.revision):
                raise _faster(name)
            return Empty()

        return await mutation.once(work)

    async def CallTool(self, request: CallToolRequest, context: Context) -> Run:
        """Calls a tool once and waits for the end."""
        return await self._call.call(request, current_caller(), tool_id(request.name), context)

    async def _checked(self, problems: Problems, wanted: Tool, name: str, name_field: str, caller: Caller) -> str:
        check_tool(problems, wanted, name, name_field)
        if wanted.lookup.uses:
            await self._check_lookup(problems, wanted.lookup.uses, caller)
        scheme = wanted.http.auth.WhichOneof("scheme")
        secret = getattr(wanted.http.auth, scheme).secret if scheme else ""
        if SECRET.fullmatch(secret):  # what is none may be a value that stands in the wrong place: it is not repeated
            caller.require(USE_SECRET, secret)
        definition = to_definition(wanted, name)
        answer = await self._engines.validate_tool(ValidateToolRequest(tool=definition.encode()))
        known = {problem.field for problem in problems.found}
        problems.extend(found for found in reroot(answer.violations, "tool") if found.field not in known)
        problems.check()
        return definition

    async def _check_lookup(self, problems: Problems, uses: str, caller: Caller) -> None:
        """Who registers a tool may call its lookup, which then serves whoever calls the tool."""
        caller.require(CALL, uses)
        async with self._database.connection() as connection:
            found = await tool.get(connection, caller.project, uses)
        if found is not None and to_tool(found).effect != Tool.READ:
            problems.add("tool.lookup.uses", f"tools/{uses} is not READ")


def _chosen_id(problems: Problems, request: CreateToolRequest) -> str:
    named = split_name(request.tool.name, "tools") if request.tool.name else None
    chosen = request.tool_id or named or ""
    if request.tool.name and named != chosen:
        problems.add("tool.name", f"must be tools/{chosen or '{tool}'}", ErrorReason.NAME_INVALID)
    return chosen


async def _existing(connection: Connection, caller: Caller, name: str) -> ToolRecord:
    record = await tool.get(connection, caller.project, name)
    if record is None:
        raise NotFoundError.of(f"tools/{name}")
    return record


async def _changeable(connection: Connection, caller: Caller, name: str, etag: str) -> ToolRecord:
    _refuse_reserved(name)
    record = await _existing(connection, caller, name)
    if record.project == SYSTEM_PROJECT:
        raise _reserved(name)
    if not caller.is_admin and record.owner != caller.name:
        raise missing_scope("admin")
    require_etag(etag, record.revision, f"tools/{name}")
    return record


def _refuse_reserved(name: str) -> None:
    if name.startswith(SYSTEM_TOOLS):
        raise _reserved(name)


def _reserved(name: str) -> PermissionDeniedError:
    return PermissionDeniedError(ErrorReason.RESERVED, f"tools/{name} is the system's", {"resource": f"tools/{name}"})


def _faster(name: str) -> AbortedError:
    return AbortedError(
        ErrorReason.ETAG_MISMATCH, f"tools/{name} has changed since; read it again", {"resource": f"tools/{name}"}
    )


def _refuse_foreign_values(problems: Problems, sent: Tool, current: Tool) -> None:
    """Without a mask a whole tool may be sent back as it was read, but not with the server's fields changed."""
    same = frozenset(
        name for name in output_only(sent) if name in FLEETING or getattr(sent, name) == getattr(current, name)
    )
    problems.not_writable("tool", sent, but=same)
