"""Records refused calls: the first five a minute in full, the others of that minute counted in one record.

Refusals are counted by project, agent or address, method and reason. They are written in batches by a task of the
process: a refused call does not wait for the write, and an attack costs the database a bounded number of rows.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from google.rpc.code_pb2 import PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAUTHENTICATED

from gateway.authentication.caller import CALLER, Caller
from gateway.authentication.origin import ORIGIN
from gateway.recording.masking import clean
from gateway.recording.record import actor, named_resource
from ordinaut.errors import OrdinautError
from ordinaut.names import SYSTEM_PROJECT
from ordinaut.rpc.interceptor import Explain
from ordinaut.store import audit
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import wait_hint
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason

log = get_logger()
IN_FULL = 5
WINDOW_SECONDS = 60.0
LINGER_SECONDS = 0.5
KEYS_MAX = 2_000
PENDING_MAX = 20_000
REQUEST_ID_MAX = 64
OTHERS = "(others)"  # the agents and addresses beyond KEYS_MAX
Key = tuple[str, str, str, str]


@dataclass(slots=True)
class _Window:
    """The refusals of one kind since `start`; `counted` of them have no record of their own."""

    start: float
    full: int = 0
    counted: int = 0
    body: dict[str, Any] = field(default_factory=dict)


class Denials:
    """Collects refused calls; run `serve` as a task for the lifetime of the process, and `flush` at its end."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._windows: dict[Key, _Window] = {}
        self._pending: list[tuple[str, dict[str, Any]]] = []
        self._dropped = 0
        self._wake = asyncio.Event()

    def watching(self, explain: Explain) -> Explain:
        """Wraps a function that explains failures to note those that refuse a call."""

        def explained(failure: BaseException, request: Any) -> BaseException:
            result = explain(failure, request)
            if isinstance(result, OrdinautError):
                self.note(result, request)
            return result

        return explained

    def note(self, failure: OrdinautError, request: Any) -> None:
        """Counts the failure of the current call if it is a refusal."""
        caller, origin = CALLER.get(None), ORIGIN.get()
        is_throttled = failure.code == RESOURCE_EXHAUSTED and caller is None
        if origin is None or not (failure.code in {PERMISSION_DENIED, UNAUTHENTICATED} or is_throttled):
            return
        reason = ErrorReason.Name(failure.reason)
        window = self._window(self._key(caller, origin.address, origin.method, reason))
        if window.full >= IN_FULL:
            window.counted += 1
            return
        body = {
            **actor(caller),
            "method": origin.method,
            "request_id": clean(getattr(request, "request_id", "")[:REQUEST_ID_MAX]),
            "resource": named_resource(request) if isinstance(request, Message) else "",
            "outcome": "DENIED",
            "reason": reason,
            "count": 1,
        }
        window.full += 1
        window.body = body
        self._add(caller.project if caller else SYSTEM_PROJECT, body)
        self._wake.set()

    def _add(self, project: str, body: dict[str, Any]) -> None:
        """While PostgreSQL cannot be reached, a bounded number of records is kept."""
        if len(self._pending) < PENDING_MAX:
            self._pending.append((project, body))
        else:
            self._dropped += 1

    def _key(self, caller: Caller | None, address: str, method: str, reason: str) -> Key:
        project, who = (caller.project, caller.name) if caller else (SYSTEM_PROJECT, address)
        key = (project, who, method, reason)
        return key if key in self._windows or len(self._windows) < KEYS_MAX else (project, OTHERS, method, reason)

    def _window(self, key: Key) -> _Window:
        window = self._windows.get(key)
        if window is None or self._clock() - window.start >= WINDOW_SECONDS:
            if window is not None:
                self._end(key, window)
            window = self._windows[key] = _Window(self._clock())
        return window

    def _end(self, key: Key, window: _Window) -> None:
        if window.counted:
            counted = {**window.body, "request_id": "", "resource": "", "count": window.counted}
            if key[1] == OTHERS:
                counted |= {"agent": "", "agent_uid": "", "token": "", "issuers": [], "address": OTHERS}
            self._add(key[0], counted)

    async def serve(self) -> None:
        """Writes what is pending until cancelled; what cannot be written is tried again."""
        while True:
            if await wait_hint(self._wake, WINDOW_SECONDS / 4):
                await asyncio.sleep(LINGER_SECONDS)  # collects a batch
            await self._try_flush()

    async def stop(self) -> None:
        """Writes everything that was counted."""
        await self._try_flush(all_windows=True)

    async def _try_flush(self, *, all_windows: bool = False) -> None:
        try:
            await self.flush(all_windows=all_windows)
        except STORE_FAILURES as failure:
            log.warning("denials_not_written", records=len(self._pending), dropped=self._dropped, failure=str(failure))

    async def flush(self, *, all_windows: bool = False) -> None:
        """Writes the pending records, and those of the windows that have ended, or of all windows."""
        now = self._clock()
        for key, window in list(self._windows.items()):
            if all_windows or now - window.start >= WINDOW_SECONDS:
                self._end(key, window)
                del self._windows[key]
        pending, self._pending = self._pending, []
        try:
            await self._write(pending)
        except BaseException:
            self._pending = pending + self._pending
            raise

    async def _write(self, pending: list[tuple[str, dict[str, Any]]]) -> None:
        by_project: dict[str, list[str]] = {}
        for project, body in pending:
            by_project.setdefault(project, []).append(audit.to_text(body))
        if by_project:
            async with self._database.transaction() as connection:
                for project, bodies in by_project.items():
                    await audit.write(connection, project, bodies)
