"""Checks of unknown cost run in child processes, which are ended at their deadline."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from ordinaut.errors import UnavailableError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.processes.pool import ProcessPool, TooCostlyError
from ordinaut.rpc.channel import internal_metadata
from pipeline_engine.processes import operations
from tests.integration.support.engine_rig import TOKEN, Worker, definition, engine, http_tool, start, tool_server
from tests.patience import PATIENCE
from tests.unit.engine.pipelines import pipeline, step

NODE = {"$ref": "#/$defs/n"}
DOUBLING = {"$defs": {"n": {"items": {"anyOf": [NODE, NODE]}, "not": {"const": "b"}}}, **NODE}
"""Small for one value, but twice the work at each depth."""


def nested(depth: int, inner: Any = "b") -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


def request(schema: Any, value: Any) -> bytes:
    return orjson.dumps({"schema": schema, "value": value})


@pytest.fixture
async def pool() -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(operations.__name__, 2, lambda: None)
    yield pool
    await pool.close()
    assert not pool._all


async def test_a_process_serves_many_checks(pool: ProcessPool) -> None:
    answers = [
        await pool.run(operations.CHECK_VALUE, request({"type": "integer"}, value), PATIENCE, PATIENCE)
        for value in (1, "x", 2)
    ]
    assert answers == [b"null", b'["","\\"x\\" is not of type \\"integer\\""]', b"null"]
    assert len(pool._all) == 1


async def test_a_check_is_ended_at_its_deadline_and_refused_after_three(pool: ProcessPool) -> None:
    body = request(DOUBLING, nested(60))
    for _ in range(3):
        with pytest.raises(TooCostlyError):
            await pool.run(operations.CHECK_VALUE, body, 0.3, PATIENCE)
    assert not pool._all
    with pytest.raises(TooCostlyError):
        await pool.run(operations.CHECK_VALUE, body, PATIENCE, PATIENCE)
    assert not pool._all, "the fourth time no process was started"
    assert await pool.run(operations.CHECK_VALUE, request(DOUBLING, nested(2, "a")), PATIENCE, PATIENCE) == b"null"


async def test_only_cpu_time_counts(pool: ProcessPool) -> None:
    """On a machine without a free core a process stands still as it does here."""
    await pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE)
    [process] = pool._all
    process.send_signal(signal.SIGSTOP)
    check = asyncio.create_task(pool.run(operations.CHECK_VALUE, request({}, 2), 0.1, PATIENCE))
    await asyncio.wait([check], timeout=0.3)
    assert not check.done()
    process.send_signal(signal.SIGCONT)
    assert await check == b"null"
    assert process in pool._all


async def test_a_process_that_stands_still_is_ended_in_the_end(pool: ProcessPool) -> None:
    await pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE)
    [process] = pool._all
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(TooCostlyError):
        await pool.run(operations.CHECK_VALUE, request({}, 2), PATIENCE, 0.2)
    assert not pool._all


async def test_a_check_may_use_its_cpu_time_again_each_time(pool: ProcessPool) -> None:
    """The timer of a process counts one operation, not all of them."""
    body = request({"items": {"type": "integer"}}, list(range(100_000)))
    for number in range(12):
        await pool.run(operations.CHECK_VALUE, body + b" " * number, 0.3, PATIENCE)
    assert len(pool._all) == 1


async def test_a_cancelled_check_is_ended(pool: ProcessPool) -> None:
    await pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE)
    [process] = pool._all
    check = asyncio.create_task(pool.run(operations.CHECK_VALUE, request(DOUBLING, nested(60)), PATIENCE, PATIENCE))
    while pool._idle:
        await asyncio.sleep(0)
    check.cancel()
    await asyncio.gather(check, return_exceptions=True)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == -signal.SIGKILL


async def test_a_process_that_was_killed_is_replaced(pool: ProcessPool) -> None:
    await pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE)
    [process] = pool._all
    process.kill()
    await process.wait()
    assert await pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE) == b"null"


@pytest.mark.parametrize(("ending", "starts"), [(2, 3), (3, 3)])
async def test_a_process_that_ends_while_it_starts_is_replaced(
    pool: ProcessPool, monkeypatch: pytest.MonkeyPatch, ending: int, starts: int
) -> None:
    """At most twice: then the operation is refused, and nothing is left of the processes."""
    started: list[asyncio.subprocess.Process] = []
    execute = asyncio.create_subprocess_exec

    async def start_process(*command: str, **options: Any) -> asyncio.subprocess.Process:
        ends = len(started) < ending
        started.append(await execute(*(["/bin/false"] if ends else command), **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_process)
    check = pool.run(operations.CHECK_VALUE, request({}, 1), PATIENCE, PATIENCE)
    if ending < starts:
        assert await check == b"null"
    else:
        with pytest.raises(UnavailableError, match="3 check processes ended"):
            await check
    assert len(started) == starts
    assert pool._all == set(started[ending:])
    assert await pool.run(operations.CHECK_VALUE, request({}, 2), PATIENCE, PATIENCE) == b"null"


async def test_a_defect_is_raised_with_its_traceback(pool: ProcessPool) -> None:
    with pytest.raises(RuntimeError, match="JSONDecodeError"):
        await pool.run(operations.CHECK_VALUE, b"{", PATIENCE, PATIENCE)


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import asyncio, os\n"
        "from ordinaut.processes.pool import ProcessPool\n"
        "async def main():\n"
        "    pool = ProcessPool('pipeline_engine.processes.operations', 1, lambda: None)\n"
        '    await pool.run(0, b\'{"schema": {}, "value": 1}\', 60, 60)\n'
        "    print(next(iter(pool._all)).pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    child = int(parent.stdout)
    for _ in range(200):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.05)
    raise AssertionError("the child has outlived its parent")


async def test_a_costly_value_neither_stops_the_engine_nor_passes() -> None:
    """The run of the costly value fails after a second; another one beside it is not delayed."""

    async def handle(_request: web.Request) -> web.Response:
        return web.json_response({"x": nested(60)})

    schema = {"properties": {"x": NODE}, "$defs": DOUBLING["$defs"]}
    async with (
        tool_server(handle) as port,
        engine(new_pool=lambda: ProcessPool(operations.__name__, 2, lambda: None)) as running,
        Worker(running) as worker,
    ):
        tool_text = orjson.dumps({**orjson.loads(http_tool("t.x", port)), "output_schema": schema})
        document = definition(pipeline(step("a", "t.x", retry=0)), tool_text)
        await worker.send(definitions=[document], starts=[start(1)])
        lags: list[float] = []
        loop = asyncio.get_running_loop()
        while 1 not in worker.finished:
            before = loop.time()
            await asyncio.sleep(0.01)
            lags.append(loop.time() - before - 0.01)
        ended = worker.finished[1]
        assert ended.state == "FAILED"
        error = orjson.loads(ended.error)
        assert (error["code"], error["details"]["reason"]) == ("VALIDATION_OUTPUT", "SCHEMA_BUDGET")
        assert max(lags) < 0.5


async def test_a_costly_definition_is_refused_at_the_deadline() -> None:
    """Params that take exponential time against their schema."""
    async with engine(new_pool=lambda: ProcessPool(operations.__name__, 2, lambda: None)) as running:
        message = pb.ValidateValueRequest(schema=orjson.dumps(DOUBLING), value=orjson.dumps(nested(60)))
        answer = await running.stub.ValidateValue(message, metadata=internal_metadata(TOKEN))
        assert "takes longer" in answer.violations[0].message
