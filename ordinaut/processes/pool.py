"""Child processes that execute operations of unknown cost; one that uses more CPU time than it may is ended.

CPU time is counted, because on a busy machine the time that passes says nothing about an operation. A validator in
native code can be interrupted neither by a thread nor by a signal handler: only its process can be ended. A process is
started by exec, because a process with gRPC threads cannot be forked.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

from ordinaut.errors import UnavailableError
from ordinaut.processes.child import ANSWER_HEADER, READY, REQUEST_HEADER
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason

log = get_logger()
QUEUE_SECONDS = 2.0
"""Time that an operation waits for a free process."""
START_SECONDS = 20.0
STARTS = 3
"""Processes that are started for one operation, if each ends before it is ready."""
KILLS_BEFORE_REFUSAL = 3
REFUSED_SECONDS = 600.0
REMEMBERED = 1000
READ_BYTES = 64 * 1024
LIMIT_BYTES = 64 * 1024 * 1024


class TooCostlyError(Exception):
    """An operation has used more CPU time than it may, or the same one did so several times before."""


class ProcessPool:
    """At most `size` processes, started when they are first needed.

    They execute the functions in OPERATIONS of the module `operations`; `on_kill` is called for each that is ended.
    With a `niceness` they leave CPU time to other processes.
    """

    def __init__(self, operations: str, size: int, on_kill: Callable[[], None], *, niceness: int = 0) -> None:
        self._niceness = niceness
        self._operations = operations
        self._on_kill = on_kill
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._idle: deque[asyncio.subprocess.Process] = deque()
        self._all: set[asyncio.subprocess.Process] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._kills: OrderedDict[bytes, deque[float]] = OrderedDict()

    async def start(self) -> None:
        """Starts every process before it is needed."""
        await asyncio.gather(*(self._start_one() for _ in range(self._size)))

    async def _start_one(self) -> None:
        async with self._free:
            self._idle.append(await self._new())

    async def run(self, operation: int, request: bytes, cpu_seconds: float, seconds: float) -> bytes:
        """Executes one operation, which on a busy machine takes up to `seconds` for its `cpu_seconds`.

        Raises:
            TooCostlyError: it has exceeded one of the two, or did so three times in the last ten minutes.
            UnavailableError: no process was free for 2 s, or three ended while they started.
            RuntimeError: the operation raised an exception; the message is its traceback.
        """
        key = hashlib.blake2b(request, digest_size=16).digest()
        if self._is_refused(key):
            raise TooCostlyError
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            message = f"no check process was free for {QUEUE_SECONDS:g} s"
            raise UnavailableError(ErrorReason.LIMIT_REACHED, message, retry_after=QUEUE_SECONDS) from None
        try:
            process = await self._take()
            done = False
            try:
                async with asyncio.timeout(seconds):
                    answer = await _exchange(process, operation, request, cpu_seconds)
                done = True
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
                self._remember_kill(key)
                self._on_kill()
                log.warning(
                    "check_process_ended",
                    operation=operation,
                    bytes=len(request),
                    cpu_seconds=cpu_seconds,
                    seconds=seconds,
                )
                raise TooCostlyError from None
            finally:
                if done:
                    self._idle.append(process)
                else:  # it still works on the request, also if the caller has gone
                    self._end(process)
        finally:
            self._free.release()
        failed, content = answer
        if failed:
            raise RuntimeError(content.decode(errors="replace"))
        return content

    async def close(self) -> None:
        """Ends every process."""
        for process in list(self._all):
            self._end(process)
        await asyncio.gather(*self._ending)

    async def _take(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.popleft()
            if process.returncode is None:
                return process
            self._end(process)
        return await self._new()

    async def _new(self) -> asyncio.subprocess.Process:
        for _ in range(STARTS):
            if (process := await self._try_new()) is not None:
                return process
        message = f"{STARTS} check processes ended or were not ready within {START_SECONDS:g} s of their start"
        raise UnavailableError(ErrorReason.ENGINE_UNAVAILABLE, message, retry_after=QUEUE_SECONDS)

    async def _try_new(self) -> asyncio.subprocess.Process | None:
        """Starts a process and returns it when it is ready; None if it ended before, or was not ready in time."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "ordinaut.processes.child",
            str(os.getpid()),
            self._operations,
            str(self._niceness),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={},
            limit=LIMIT_BYTES,
        )
        self._all.add(process)
        ready = False
        try:
            async with asyncio.timeout(START_SECONDS):
                await _pipes(process)[1].readexactly(len(READY))
            ready = True
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as failure:
            log.warning("check_process_not_started", process=process.pid, failure=repr(failure))
            return None
        finally:
            if not ready:  # also if the caller has gone
                self._end(process)
        return process

    def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        with suppress(ProcessLookupError):
            process.kill()
        ending = asyncio.create_task(_reap(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _is_refused(self, key: bytes) -> bool:
        since = time.monotonic() - REFUSED_SECONDS
        kills = self._kills.get(key, ())
        return sum(moment > since for moment in kills) >= KILLS_BEFORE_REFUSAL

    def _remember_kill(self, key: bytes) -> None:
        self._kills.setdefault(key, deque(maxlen=KILLS_BEFORE_REFUSAL)).append(time.monotonic())
        self._kills.move_to_end(key)
        while len(self._kills) > REMEMBERED:
            self._kills.popitem(last=False)


async def _exchange(
    process: asyncio.subprocess.Process, operation: int, request: bytes, cpu_seconds: float
) -> tuple[bool, bytes]:
    requests, answers = _pipes(process)
    requests.write(REQUEST_HEADER.pack(len(request), int(cpu_seconds * 1_000_000), operation) + request)
    await requests.drain()
    size, failed = ANSWER_HEADER.unpack(await answers.readexactly(ANSWER_HEADER.size))
    return failed, await answers.readexactly(size)


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Waits for the end of a process and closes its pipes."""
    requests, answers = _pipes(process)
    requests.close()
    with suppress(ConnectionError):
        while await answers.read(READ_BYTES):
            continue
    await process.wait()


def _pipes(process: asyncio.subprocess.Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the process has pipes")
    return process.stdin, process.stdout
