"""Repeatable mutations: a caller's `request_id` makes a call happen once, however often it is sent.

Looked up before anything else; claimed first inside the transaction that does the work, where a copy that runs at
the same time waits; kept with the answer by the same commit. Only successes are kept.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.api.violations import Problems
from gateway.authentication.caller import current_caller
from ordinaut.errors import AlreadyExistsError
from ordinaut.store import request_log
from ordinaut.store.database import Database
from ordinaut.store.request_log import Answered, RequestKey
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason

Answer = TypeVar("Answer", bound=Message)


class Mutation(Generic[Answer]):
    """One mutating call, whose answers are of one type; `keeps_secret`: its answer is never stored."""

    def __init__(
        self, database: Database, request: Message, answer_type: type[Answer], *, keeps_secret: bool = False
    ) -> None:
        caller = current_caller()
        self._database = database
        self._type = answer_type
        self._keeps_secret = keeps_secret
        self._id: str = request.request_id  # type: ignore[attr-defined]  # every mutating request has one
        self._key = RequestKey(caller.project, caller.agent, request.DESCRIPTOR.name, self._id)
        self._hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()

    async def earlier(self) -> Answer | None:
        """The answer that this request got before; None: it is new.

        Raises:
            InvalidArgumentError: the id is not of the documented form.
            AlreadyExistsError: REQUEST_ID_REUSED for another request, SECRET_NOT_KEPT.
        """
        if not self._id:
            return None
        problems = Problems()
        problems.request_id(self._id)
        problems.check()
        async with self._database.connection() as connection:
            found = await request_log.find(connection, self._key)
        return self._answer(found) if found else None

    async def once(self, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """Does `work` in a transaction, unless a copy of this request has done it meanwhile; answers as that did.

        Raises:
            AbortedError: a copy is being worked on for longer than a lock may be waited for.
        """
        async with self._database.transaction() as connection:
            if not self._id:
                return await work(connection)
            if not await request_log.claim(connection, self._key, self._hash):
                return await self._copy(connection)
            answer = await work(connection)
            kept = None if self._keeps_secret else answer.SerializeToString()
            await request_log.keep(connection, self._key, kept)
            return answer

    async def _copy(self, connection: Connection) -> Answer:
        found = await request_log.find(connection, self._key)
        if found is None:  # forgotten between the two statements: a day has passed
            raise AlreadyExistsError(ErrorReason.REQUEST_ID_REUSED, "the request_id is too old; choose another")
        return self._answer(found)

    def _answer(self, found: Answered) -> Answer:
        facts = {"request_id": self._id}
        if found.hash != self._hash:
            raise AlreadyExistsError(
                ErrorReason.REQUEST_ID_REUSED, "the request_id was used before with another request", facts
            )
        if found.answer is None:
            raise AlreadyExistsError(
                ErrorReason.SECRET_NOT_KEPT, "the request was answered before with a secret, which is not kept", facts
            )
        return self._type.FromString(found.answer)
