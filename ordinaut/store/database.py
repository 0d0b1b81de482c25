"""The pool of connections to PostgreSQL: timeouts on everything, and what its failures mean to callers."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from ordinaut.errors import AbortedError, StartError, UnavailableError
from ordinaut.settings import StoreSettings
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason

log = get_logger()
Result = TypeVar("Result")
CONNECT_SECONDS = 5.0
REPEATS = 5
REPEATABLE = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
# The server went away, turned read-only (a failover), or has no connection, disk or memory left.
GONE = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)
REFUSED = asyncpg.PostgresError
# What PostgreSQL refuses because of the values themselves.
DATA_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
# The commit may or may not have happened.
OUTCOME_UNKNOWN = (*GONE, asyncpg.QueryCanceledError, TimeoutError)
# All of that, also as `Database.connection` puts it: what a loop of a service logs and goes on after.
STORE_FAILURES = (*OUTCOME_UNKNOWN, *REPEATABLE, UnavailableError, AbortedError)


class Database:
    """Connections for one process. `open` it inside the running event loop, `close` it at the end."""

    def __init__(self, pool: "asyncpg.Pool[Any]", settings: StoreSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    async def open(cls, settings: StoreSettings) -> "Database":
        """Connects, waiting for a server that is just starting.

        Raises:
            UnavailableError: nothing answered for a minute.
            StartError: PostgreSQL refused the connection.
        """
        deadline = asyncio.get_running_loop().time() + 60
        while True:
            try:
                return cls(await _pool(settings), settings)
            except GONE as failure:
                if asyncio.get_running_loop().time() > deadline:
                    raise _unavailable(failure) from failure
                log.warning("postgres_not_reached", failure=str(failure))
                await asyncio.sleep(0.2 + random.random() * 0.3)  # noqa: S311 - spreads reconnects; nothing to signal on
            except REFUSED as failure:  # a wrong password, an unknown database: waiting does not help
                raise StartError(f"PostgreSQL refused the connection: {failure}") from failure

    async def close(self) -> None:
        """Gives up every connection, at once where the network does not answer."""
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside of any transaction.

        Raises:
            UnavailableError: PostgreSQL cannot be reached or refuses work.
            AbortedError: another transaction held a lock for too long.
        """
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except REPEATABLE as failure:
            raise AbortedError(
                ErrorReason.REQUEST_IN_PROGRESS, "another call works on the same thing; repeat it", retry_after=0.5
            ) from failure
        except OUTCOME_UNKNOWN as failure:
            await self._forget(failure)
            raise _unavailable(failure) from failure

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a READ COMMITTED transaction; failures as in `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def repeat(self, work: Callable[[Connection], Awaitable[Result]], *, one_statement: bool = False) -> Result:
        """Does `work` in a transaction, again from the start after a deadlock or a lock not got, five times at most.

        `one_statement`: the work is a transaction by itself, and two round trips are saved.
        """
        for attempt in range(REPEATS):
            try:
                async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                    if one_statement:
                        return await work(connection)
                    async with connection.transaction():
                        return await work(connection)
            except REPEATABLE:
                if attempt == REPEATS - 1:
                    raise
                log.info("transaction_retried", attempt=attempt + 1)
            except OUTCOME_UNKNOWN as failure:
                await self._forget(failure)
                raise
        raise AssertionError("unreachable")

    async def dedicated(self) -> "asyncpg.Connection[Any]":
        """A connection of one's own, for LISTEN or for a lease; the caller closes it."""
        settings = self._settings
        return await asyncpg.connect(
            settings.database_url, timeout=CONNECT_SECONDS, server_settings=_server_settings(settings)
        )

    async def _forget(self, failure: BaseException) -> None:
        """Gives up connections that may lead to a server that is gone or has become a replica."""
        if not isinstance(failure, TimeoutError | asyncpg.InsufficientResourcesError | asyncpg.QueryCanceledError):
            await self._pool.expire_connections()


async def _pool(settings: StoreSettings) -> "asyncpg.Pool[Any]":
    return await asyncpg.create_pool(
        settings.database_url,
        min_size=0,
        max_size=settings.database_pool_max,
        max_inactive_connection_lifetime=300,
        timeout=CONNECT_SECONDS,
        command_timeout=settings.statement_timeout_seconds + 5,
        reset=_leave_as_it_is,
        server_settings=_server_settings(settings),
    )


async def _leave_as_it_is(_connection: Any) -> None:
    """Nothing is ever set in a session of the pool, so there is nothing to reset: a round trip less for each use."""


def _server_settings(settings: StoreSettings) -> dict[str, str]:
    return {
        "application_name": "ordinaut",
        "statement_timeout": str(round(settings.statement_timeout_seconds * 1000)),
        "lock_timeout": str(round(settings.lock_timeout_seconds * 1000)),
        "idle_in_transaction_session_timeout": str(round(settings.statement_timeout_seconds * 1000)),
        "timezone": "UTC",
        "jit": "off",
        "enable_seqscan": "off",  # else a plan that was kept from when the queue was empty reads all of a full one
    }


def _unavailable(failure: BaseException) -> UnavailableError:
    return UnavailableError(
        ErrorReason.STORE_UNAVAILABLE,
        "PostgreSQL cannot be reached",
        {"cause": type(failure).__name__},
        retry_after=1.0,
    )
