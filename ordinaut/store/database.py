"""The connection pool for PostgreSQL: every operation has a timeout, and its failures are classified."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from ordinaut.errors import AbortedError, StartError, UnavailableError
from ordinaut.settings import StoreSettings
from ordinaut.store.sql import Connection
from ordinaut.telemetry import error_id, get_logger
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
# The server is unreachable, read-only after a failover, or out of connections, disk or memory.
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
# PostgreSQL rejected the values.
DATA_ERRORS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
# The commit may or may not have happened.
OUTCOME_UNKNOWN = (*GONE, asyncpg.QueryCanceledError, TimeoutError)
# All of these, also in the form that `Database.connection` raises: a loop of a service logs them and continues.
STORE_FAILURES = (*OUTCOME_UNKNOWN, *REPEATABLE, UnavailableError, AbortedError)


class Database:
    """Connections of one process. `open` it in the running event loop, `close` it at the end."""

    def __init__(self, pool: "asyncpg.Pool[Any]", settings: StoreSettings) -> None:
        self._pool = pool
        self._settings = settings

    @classmethod
    async def open(cls, settings: StoreSettings) -> "Database":
        """Connects; waits for a server that is starting.

        Raises:
            UnavailableError: no server answered for 60 seconds.
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
        """Closes every connection; after 2 seconds without waiting for the server."""
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside of any transaction.

        Raises:
            UnavailableError: PostgreSQL cannot be reached or rejects work.
            AbortedError: another transaction held a lock for too long.
        """
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection
        except REPEATABLE as failure:
            raise AbortedError(
                ErrorReason.REQUEST_IN_PROGRESS,
                "another request holds a lock on the same resource; retry",
                retry_after=0.5,
            ) from failure
        except OUTCOME_UNKNOWN as failure:
            await self._expire(failure)
            raise _unavailable(failure) from failure

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a READ COMMITTED transaction; failures as in `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def repeat(self, work: Callable[[Connection], Awaitable[Result]], *, one_statement: bool = False) -> Result:
        """Executes `work` in a transaction; repeats it after a deadlock or a lock timeout, at most five times in all.

        `one_statement`: the work is one statement, which is its own transaction; this saves two round trips.
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
                await self._expire(failure)
                raise
        raise AssertionError("unreachable")

    async def dedicated(self) -> "asyncpg.Connection[Any]":
        """A connection outside of the pool, for LISTEN or a lease; the caller closes it."""
        settings = self._settings
        return await asyncpg.connect(
            settings.database_url, timeout=CONNECT_SECONDS, server_settings=_server_settings(settings)
        )

    async def _expire(self, failure: BaseException) -> None:
        """Makes the pool replace connections that may lead to a server that is gone or has become a replica."""
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
        reset=_no_reset,
        server_settings=_server_settings(settings),
    )


async def _no_reset(_connection: Any) -> None:
    """Skips the reset, which costs a round trip per use: no session of the pool changes its settings."""


def _server_settings(settings: StoreSettings) -> dict[str, str]:
    return {
        "application_name": "ordinaut",
        "statement_timeout": str(round(settings.statement_timeout_seconds * 1000)),
        "lock_timeout": str(round(settings.lock_timeout_seconds * 1000)),
        "idle_in_transaction_session_timeout": str(round(settings.statement_timeout_seconds * 1000)),
        "timezone": "UTC",
        "jit": "off",
        "enable_seqscan": "off",  # a plan cached while the queue was empty must not scan the full table later
    }


def _unavailable(failure: BaseException) -> UnavailableError:
    reference = error_id("database_unavailable", failure)
    return UnavailableError(
        ErrorReason.STORE_UNAVAILABLE,
        f"the database cannot be reached; retry (error {reference})",
        {"error_id": reference},
        retry_after=1.0,
    )
