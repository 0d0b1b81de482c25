# ruff: noqa: N802 - methods are named by the contract
"""ToolService: tools are shared in the project by scope; only their owner and admins can change them."""

from collections.abc import Iterator, Sequence

from gateway.admission.quotas import Quotas
from gateway.api.errors import already_exists, changed_concurrently
from gateway.api.field_masks import apply, masked_paths, refuse_output_fields, require_etag
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import tool_id
from gateway.api.violations import Problems, got, reroot
from gateway.api.visibility import within_globs
from gateway.authentication.caller import Caller, current_caller, missing_scope
from gateway.clients import EngineClient
from gateway.definitions.references import CALL, SYSTEM_TOOLS
from gateway.tools.call import ToolCall
from gateway.tools.conversion import check_tool, to_definition, to_tool
from ordinaut.errors import NotFoundError, PermissionDeniedError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateToolRequest
from ordinaut.names import SECRET, SYSTEM_PROJECT, USE_SECRET, split_name
from ordinaut.rpc.interceptor import Context
from ordinaut.store import tool
from ordinaut.store.database import Database
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.tool import ToolRecord, ToolUser
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import (
    CallToolRequest,
    CreateToolRequest,
    DeleteToolRequest,
    DeleteToolResponse,
    GetToolRequest,
    ListToolsRequest,
    ListToolsResponse,
    UpdateToolRequest,
)
from ordinaut.v1.tool_service_pb2_grpc import ToolServiceServicer

READ = "tools:read"
WRITE = "tools:write"
VOLATILE = frozenset({"update_time", "warnings"})
WARNINGS_MAX = 50


class Tools(ToolServiceServicer):
    """Implements ToolService."""

    def __init__(
        self, database: Database, page_tokens: PageTokens, engines: EngineClient, call: ToolCall, quotas: Quotas
    ) -> None:
        self._quotas = quotas
        self._database = database
        self._page_tokens = page_tokens
        self._engines = engines
        self._call = call

    async def CreateTool(self, request: CreateToolRequest, context: Context) -> Tool:
        """Registers a tool; an engine validates its schemas and transport."""
        caller = current_caller()
        mutation = Mutation(self._database, request, Tool)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        name = _chosen_id(problems, request)
        problems.not_writable("tool", request.tool)
        _refuse_reserved(name)
        caller.require(WRITE, name)
        name_field = "tool_id" if request.tool_id else "tool.name"
        definition, warnings = await self._checked(problems, request.tool, name, name_field, caller)

        async def work(connection: Connection) -> Tool:
            await self._quotas.require_room(connection, "tools", project=caller.project, agent=caller.agent)
            record = await tool.create(
                connection, project=caller.project, name=name, owner=caller.name, definition=definition
            )
            if record is None:
                raise already_exists(f"tools/{name}")
            return to_tool(record, warnings)

        return await mutation.execute(work)

    async def GetTool(self, request: GetToolRequest, context: Context) -> Tool:
        """Returns one tool of the project or of the system."""
        caller, name = current_caller(), tool_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            return to_tool(await _existing(connection, caller, name))

    async def ListTools(self, request: ListToolsRequest, context: Context) -> ListToolsResponse:
        """Lists a page of the tools of the project and of the system."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, tool.FIELDS)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, tool.FIELDS)
        condition = within_globs(condition, caller, READ, "name", "tools/")
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[ToolRecord]:
                selection = Selection(tool.FIELDS, order.beyond(after), condition)
                return await tool.list_page(connection, project=caller.project, selection=selection, size=count)

            page = await read_page(read, order.key, start, size, to_tool)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListToolsResponse(tools=page.messages, next_page_token=token)

    async def UpdateTool(self, request: UpdateToolRequest, context: Context) -> Tool:
        """Changes the fields in the mask; runs that are claimed afterwards use the new definition."""
        caller, name = current_caller(), tool_id(request.tool.name, "tool.name")
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Tool)
        if (response := await mutation.stored_response()) is not None:
            return response
        async with self._database.connection() as connection:
            stored = await _changeable(connection, caller, name, request.tool.etag)
        problems = Problems()
        paths = masked_paths(problems, request.tool, request.update_mask)
        current = to_tool(stored)
        mutation.replaces(current)
        if not request.update_mask.paths:
            refuse_output_fields(problems, "tool", request.tool, current, VOLATILE)
        changed = apply(current, request.tool, [] if problems.violations else paths)
        if secret := secret_of(current):  # a change may send it to another host
            caller.require(USE_SECRET, secret)
        definition, warnings = await self._checked(problems, changed, name, "tool.name", caller)

        async def work(connection: Connection) -> Tool:
            record = await tool.update(
                connection, project=caller.project, name=name, revision=stored.revision, definition=definition
            )
            if record is None:
                raise changed_concurrently(f"tools/{name}")
            return to_tool(record, warnings)

        return await mutation.execute(work)

    async def DeleteTool(self, request: DeleteToolRequest, context: Context) -> DeleteToolResponse:
        """Deletes a tool; steps that use it fail afterwards, and the response names their tasks."""
        caller, name = current_caller(), tool_id(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, DeleteToolResponse)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> DeleteToolResponse:
            stored = await _changeable(connection, caller, name, request.etag)
            mutation.replaces(to_tool(stored))
            users = await tool.users(connection, project=caller.project, name=name)
            if not await tool.delete(connection, project=caller.project, name=name, revision=stored.revision):
                raise changed_concurrently(f"tools/{name}")
            return DeleteToolResponse(warnings=_warnings(caller, name, users))

        return await mutation.execute(work)

    async def CallTool(self, request: CallToolRequest, context: Context) -> Run:
        """Calls a tool once and waits for the result."""
        return await self._call.call(request, current_caller(), tool_id(request.name), context)

    async def _checked(
        self, problems: Problems, message: Tool, name: str, name_field: str, caller: Caller
    ) -> tuple[str, Sequence[str]]:
        """Validates a tool and returns its definition with warnings."""
        check_tool(problems, message, name, name_field)
        if message.lookup.uses:
            await self._check_lookup(problems, message.lookup.uses, caller)
        secret = secret_of(message)
        # Only names of secrets: something else may be the value of a secret, which the error message would repeat.
        if SECRET.fullmatch(secret):
            caller.require(USE_SECRET, secret)
        definition = to_definition(message, name)
        response = await self._engines.validate_tool(ValidateToolRequest(tool=definition.encode()))
        reported = {violation.field for violation in problems.violations}
        problems.extend(
            violation for violation in reroot(response.violations, "tool") if violation.field not in reported
        )
        problems.check()
        return definition, response.warnings

    async def _check_lookup(self, problems: Problems, uses: str, caller: Caller) -> None:
        """Checks the lookup tool. The caller must be allowed to call it; callers of the new tool need not be."""
        caller.require(CALL, uses)
        async with self._database.connection() as connection:
            lookup = await tool.get(connection, caller.project, uses)
        if lookup is not None and (effect := to_tool(lookup).effect) != Tool.READ:
            problems.add(
                "tool.lookup.uses", f"must be a tool with effect READ (tools/{uses} has {Tool.Effect.Name(effect)})"
            )


def secret_of(message: Tool) -> str:
    """Returns the name of the secret that the tool sends; otherwise empty."""
    scheme = message.http.auth.WhichOneof("scheme")
    return str(getattr(message.http.auth, scheme).secret) if scheme else ""


def _chosen_id(problems: Problems, request: CreateToolRequest) -> str:
    id_in_name = split_name(request.tool.name, "tools") if request.tool.name else None
    chosen = request.tool_id or id_in_name or ""
    if request.tool.name and id_in_name != chosen:
        message = f"must be tools/{chosen or '{tool}'} {got(request.tool.name)}"
        problems.add("tool.name", message, ErrorReason.NAME_INVALID)
    return chosen


def _warnings(caller: Caller, name: str, users: Sequence[ToolUser]) -> Iterator[str]:
    """Yields the effects of a deletion; tasks that the caller cannot see are counted."""
    visible = [user for user in users if user.collection == "tools" or caller.owner_filter in {None, user.owner}]
    for user in visible[:WARNINGS_MAX]:
        effect = "the steps that call it fail" if user.collection == "tasks" else "its lookup fails"
        yield f"{user.collection}/{user.name} uses tools/{name}: {effect} until it is registered again"
    if more := len(visible[WARNINGS_MAX:]):
        yield f"{more} more tasks or tools use tools/{name}"
    if hidden := len(users) - len(visible):
        yield f"{hidden} {'task' if hidden == 1 else 'tasks'} of other owners use tools/{name}"


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
    message = f"tools/{name} is a tool of the system and cannot be created, changed or deleted"
    return PermissionDeniedError(ErrorReason.RESERVED, message, {"resource": f"tools/{name}"})
