"""Idempotent mutations: requests with the same `request_id` take effect once and get the same response."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.api.rehearsal import is_rehearsal, refuse_change
from gateway.api.violations import Problems
from gateway.authentication.caller import current_caller, missing_scopes
from gateway.recording.record import changes, is_recorded, method_of
from ordinaut.errors import AlreadyExistsError
from ordinaut.names import covers
from ordinaut.store import audit, request_log
from ordinaut.store.database import Database
from ordinaut.store.request_log import RequestKey, StoredResponse
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason

Response = TypeVar("Response", bound=Message)


class Mutation(Generic[Response]):
    """One mutating call; `has_secret`: its response is not stored.

    `stored_response` comes before any check, so that a retry gets its response even if the request would be refused
    now. The audit record of the call is written in the transaction of the change.
    """

    def __init__(
        self, database: Database, request: Message, response_type: type[Response], *, has_secret: bool = False
    ) -> None:
        caller = current_caller()
        self._database = database
        self._type = response_type
        self._has_secret = has_secret
        self._id: str = request.request_id  # type: ignore[attr-defined]  # every mutating request has one
        self._key = RequestKey(caller.project, caller.agent, request.DESCRIPTOR.name, self._id)
        self._scopes = caller.scopes
        self._request = request
        self._before: Message | None = None
        self._details: dict[str, str] = {}
        self._hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()

    async def stored_response(self) -> Response | None:
        """Returns the response of an earlier call with this request_id; None for a new request.

        Raises:
            InvalidArgumentError: the id is not of the documented form.
            AlreadyExistsError: REQUEST_ID_REUSED for another request, SECRET_NOT_KEPT.
            PermissionDeniedError: MISSING_SCOPE: the token may do less than the one that sent the request.
        """
        if not self._id:
            return None
        problems = Problems()
        problems.request_id(self._id)
        problems.check()
        if is_rehearsal():  # a request with violations was never executed
            return None
        async with self._database.connection() as connection:
            stored = await request_log.find(connection, self._key)
        return self._read(stored) if stored else None

    async def execute(self, work: Callable[[Connection], Awaitable[Response]]) -> Response:
        """Runs `work` in a transaction and returns its response; a concurrent call with this request_id runs it once.

        Raises:
            AbortedError: the other call took longer than the lock timeout.
        """
        # The row of the request is inserted first. A concurrent call with the same id waits at its own insert until
        # this transaction ends: after a rollback its insert succeeds and it does the work; after a commit the insert
        # finds the row. It then reads the response in a second statement, because the snapshot of the waiting one was
        # taken before the commit and does not contain the response. Work, row and response commit together, so an
        # effect without a stored response cannot exist. Failures roll back and are not stored: a retry runs again.
        refuse_change()
        async with self._database.transaction() as connection:
            if not self._id:
                response = await work(connection)
                await self._record(connection, response)
                return response
            if not await request_log.claim(connection, self._key, self._hash, sorted(self._scopes)):
                return await self._concurrent_response(connection)
            response = await work(connection)
            await self._record(connection, response)
            stored = None if self._has_secret else response.SerializeToString()
            await request_log.store_response(connection, self._key, stored)
            return response

    def replaces(self, resource: Message) -> None:
        """Sets the state of the resource before the change, for the audit record."""
        self._before = resource

    def describe(self, name: str, value: str) -> None:
        """Adds a result that neither request nor response contain to the audit record."""
        self._details[name] = value

    def record_text(self, response: Message) -> str:
        """Returns the audit record as JSON, for a call that is not executed by `execute` and must write it itself."""
        return "".join(self._records(response))

    def _records(self, response: Message) -> list[str]:
        if not is_recorded(method_of(self._request)):
            return []
        bodies = changes(current_caller(), self._request, response, self._before, self._details)
        return [audit.to_text(body) for body in bodies]

    async def _record(self, connection: Connection, response: Message) -> None:
        if records := self._records(response):
            await audit.write(connection, self._key.project, records)

    async def _concurrent_response(self, connection: Connection) -> Response:
        stored = await request_log.find(connection, self._key)
        if stored is None:  # it expired between the two statements
            raise AlreadyExistsError(
                ErrorReason.REQUEST_ID_REUSED, "the request_id was used more than 24 hours ago; choose another"
            )
        return self._read(stored)

    def _read(self, stored: StoredResponse) -> Response:
        facts = {"request_id": self._id}
        if stored.request_hash != self._hash:
            raise AlreadyExistsError(
                ErrorReason.REQUEST_ID_REUSED, "the request_id was already used for a different request", facts
            )
        if missing := [scope for scope in stored.scopes if not covers(self._scopes, scope)]:
            raise missing_scopes(missing, current_caller().name)
        if stored.response is None:
            message = "the response to this request_id contained a secret, which is not stored"
            raise AlreadyExistsError(ErrorReason.SECRET_NOT_KEPT, message, facts)
        return self._type.FromString(stored.response)
