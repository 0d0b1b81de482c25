# ruff: noqa: N802 - methods are named by the contract
"""StateService: entries are shared in the project; scopes control access by namespace."""

from google.protobuf.empty_pb2 import Empty

from gateway.admission.door import Door
from gateway.api.idempotency import Mutation
from gateway.api.json_values import fill_value, parse, timestamp, to_json
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import state_ids, state_namespace
from gateway.api.violations import Problems, at_most
from gateway.authentication.caller import Caller, current_caller
from ordinaut.errors import AbortedError, NotFoundError
from ordinaut.limits import MAX_JSON_BYTES
from ordinaut.rpc.interceptor import Context
from ordinaut.store import state_entry
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.state_entry import StateRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import (
    DeleteStateEntryRequest,
    GetStateEntryRequest,
    ListStateEntriesRequest,
    ListStateEntriesResponse,
    PutStateEntryRequest,
)
from ordinaut.v1.state_service_pb2_grpc import StateServiceServicer

READ = "state:read"
WRITE = "state:write"
WRITES = "state_writes_per_second"


class State(StateServiceServicer):
    """Implements StateService."""

    def __init__(self, database: Database, page_tokens: PageTokens, door: Door) -> None:
        self._door = door
        self._database = database
        self._page_tokens = page_tokens

    async def GetStateEntry(self, request: GetStateEntryRequest, context: Context) -> StateEntry:
        """Returns one entry."""
        caller, (namespace, key) = current_caller(), state_ids(request.name)
        caller.require(READ, namespace)
        async with self._database.connection() as connection:
            record = await state_entry.get(connection, project=caller.project, namespace=namespace, key=key)
        if record is None:
            raise NotFoundError.of(request.name)
        return _to_entry(record)

    async def PutStateEntry(self, request: PutStateEntryRequest, context: Context) -> StateEntry:
        """Writes one entry; with a revision only if it is the current one."""
        caller, (namespace, key) = current_caller(), state_ids(request.entry.name, "entry.name")
        caller.require(WRITE, namespace)
        mutation = Mutation(self._database, request, StateEntry)
        if (response := await mutation.stored_response()) is not None:
            return response
        value = _checked_value(request)
        await self._door.take(WRITES, caller)
        await self._door.usage.require_bytes("state_bytes", caller.project, len(value))
        expected = request.revision if request.HasField("revision") else None

        async def work(connection: Connection) -> StateEntry:
            record = await state_entry.put(
                connection, project=caller.project, namespace=namespace, key=key, value=value, expected=expected
            )
            if record is None:
                raise await _revision_mismatch(connection, caller, namespace, key, expected)
            return _to_entry(record)

        return await mutation.execute(work)

    async def DeleteStateEntry(self, request: DeleteStateEntryRequest, context: Context) -> Empty:
        """Deletes one entry; with a revision only if it is the current one."""
        caller, (namespace, key) = current_caller(), state_ids(request.name)
        caller.require(WRITE, namespace)
        mutation = Mutation(self._database, request, Empty)
        if (response := await mutation.stored_response()) is not None:
            return response
        await self._door.take(WRITES, caller)
        expected = request.revision if request.HasField("revision") else None

        async def work(connection: Connection) -> Empty:
            entry = {"project": caller.project, "namespace": namespace, "key": key}
            if not await state_entry.delete(connection, **entry, expected=expected):
                if await state_entry.get(connection, **entry) is None:
                    raise NotFoundError.of(request.name)
                raise await _revision_mismatch(connection, caller, namespace, key, expected)
            return Empty()

        return await mutation.execute(work)

    async def ListStateEntries(self, request: ListStateEntriesRequest, context: Context) -> ListStateEntriesResponse:
        """Lists a page of the entries of a namespace."""
        caller, namespace = current_caller(), state_namespace(request.parent)
        caller.require(READ, namespace)
        size = page_size(request.page_size)
        start = self._page_tokens.start(request, caller)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[StateRecord]:
                return await state_entry.list_page(
                    connection, project=caller.project, namespace=namespace, after=after, size=count
                )

            page = await read_page(read, lambda record: record.key, start, size, _to_entry)
        token = self._page_tokens.token(request, caller, page.last.key) if page.last else ""
        return ListStateEntriesResponse(entries=page.messages, next_page_token=token)


def _checked_value(request: PutStateEntryRequest) -> str:
    problems = Problems()
    problems.not_writable("entry", request.entry)
    if not request.entry.HasField("value"):
        problems.add("entry.value", "is required; send null explicitly", ErrorReason.FIELD_REQUIRED)
    if request.revision < 0:
        problems.add("revision", f"must not be negative (got {request.revision})")
    value = to_json(request.entry.value)
    if len(value) > MAX_JSON_BYTES:
        problems.add("entry.value", at_most(MAX_JSON_BYTES, "bytes of JSON", len(value)), ErrorReason.TOO_LARGE)
    problems.check()
    return value


def _to_entry(record: StateRecord) -> StateEntry:
    entry = StateEntry(
        name=f"state/{record.namespace}/{record.key}",
        revision=record.revision,
        update_time=timestamp(record.update_time),
    )
    fill_value(entry.value, parse(record.value))
    return entry


async def _revision_mismatch(
    connection: Connection, caller: Caller, namespace: str, key: str, expected: int | None
) -> AbortedError:
    record = await state_entry.get(connection, project=caller.project, namespace=namespace, key=key)
    name, revision = f"state/{namespace}/{key}", record.revision if record else 0
    return AbortedError(
        ErrorReason.REVISION_MISMATCH,
        f"{name} must have revision {expected or 0} (has {revision}); read it again and retry the change",
        {"resource": name, "revision": revision},
    )
