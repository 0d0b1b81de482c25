# ruff: noqa: N802 - methods are named by the contract
"""StateService: entries are shared inside the project, by scope and namespace."""

from google.protobuf.empty_pb2 import Empty

from gateway.api.caller import Caller, current_caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import fill_value, parse, timestamp, to_json
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import state_ids, state_namespace
from gateway.api.violations import Problems
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


class State(StateServiceServicer):
    """Answers calls about state entries."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def GetStateEntry(self, request: GetStateEntryRequest, context: Context) -> StateEntry:
        """One entry."""
        caller, (namespace, key) = current_caller(), state_ids(request.name)
        caller.require(READ, namespace)
        async with self._database.connection() as connection:
            record = await state_entry.get(connection, project=caller.project, namespace=namespace, key=key)
        if record is None:
            raise NotFoundError.of(request.name)
        return _to_entry(record)

    async def PutStateEntry(self, request: PutStateEntryRequest, context: Context) -> StateEntry:
        """Writes one entry, where asked only over the revision that the caller knows."""
        caller, (namespace, key) = current_caller(), state_ids(request.entry.name, "entry.name")
        caller.require(WRITE, namespace)
        mutation = Mutation(self._database, request, StateEntry)
        if (answer := await mutation.earlier()) is not None:
            return answer
        value = _checked_value(request)
        expected = request.revision if request.HasField("revision") else None

        async def work(connection: Connection) -> StateEntry:
            record = await state_entry.put(
                connection, project=caller.project, namespace=namespace, key=key, value=value, expected=expected
            )
            if record is None:
                raise await _stale(connection, caller, namespace, key)
            return _to_entry(record)

        return await mutation.once(work)

    async def DeleteStateEntry(self, request: DeleteStateEntryRequest, context: Context) -> Empty:
        """Deletes one entry, where asked only in the revision that the caller knows."""
        caller, (namespace, key) = current_caller(), state_ids(request.name)
        caller.require(WRITE, namespace)
        mutation = Mutation(self._database, request, Empty)
        if (answer := await mutation.earlier()) is not None:
            return answer
        expected = request.revision if request.HasField("revision") else None

        async def work(connection: Connection) -> Empty:
            where = {"project": caller.project, "namespace": namespace, "key": key}
            if not await state_entry.delete(connection, **where, expected=expected):
                if await state_entry.get(connection, **where) is None:
                    raise NotFoundError.of(request.name)
                raise await _stale(connection, caller, namespace, key)
            return Empty()

        return await mutation.once(work)

    async def ListStateEntries(self, request: ListStateEntriesRequest, context: Context) -> ListStateEntriesResponse:
        """A page of a namespace; one without entries is empty."""
        caller, namespace = current_caller(), state_namespace(request.parent)
        caller.require(READ, namespace)
        size = page_size(request.page_size)
        start = self._pages.start(request, caller)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[StateRecord]:
                return await state_entry.list_page(
                    connection, project=caller.project, namespace=namespace, after=after, size=count
                )

            page = await filled(read, lambda record: record.key, start, size, _to_entry)
        token = self._pages.token(request, caller, page.last.key) if page.last else ""
        return ListStateEntriesResponse(entries=page.messages, next_page_token=token)


def _checked_value(request: PutStateEntryRequest) -> str:
    problems = Problems()
    problems.not_writable("entry", request.entry)
    if not request.entry.HasField("value"):
        problems.add("entry.value", "must be given; null is a value of its own", ErrorReason.FIELD_REQUIRED)
    if request.revision < 0:
        problems.add("revision", "must not be negative")
    value = to_json(request.entry.value)
    if len(value) > MAX_JSON_BYTES:
        problems.add("entry.value", f"may have {MAX_JSON_BYTES} bytes of JSON", ErrorReason.TOO_LARGE)
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


async def _stale(connection: Connection, caller: Caller, namespace: str, key: str) -> AbortedError:
    record = await state_entry.get(connection, project=caller.project, namespace=namespace, key=key)
    name, revision = f"state/{namespace}/{key}", record.revision if record else 0
    return AbortedError(
        ErrorReason.REVISION_MISMATCH,
        f"{name} has revision {revision}; read it again and repeat the change",
        {"resource": name, "revision": revision},
    )
