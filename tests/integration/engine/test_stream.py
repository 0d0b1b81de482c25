"""The Execute stream over a real gRPC server: frames, credit, journal, cancel, isolation, drain."""

import asyncio
from typing import Any

import grpc
import orjson
import pytest
from aiohttp import web

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.rpc.channel import internal_metadata
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Output
from tests.integration.support.engine_rig import TOKEN, Worker, definition, engine, http_tool, start, tool_server
from tests.patience import PATIENCE
from tests.unit.engine.pipelines import pipeline, step

SET = pipeline(step("a", input={"x": "${params.x}"}), output="${steps.a.x}")


async def test_many_runs_end_in_few_frames() -> None:
    """Runs that end in one event loop iteration share a frame, with their credit."""
    async with engine(credit=300) as running, Worker(running) as worker:
        await worker.until(lambda w: w.credit == 300)
        runs = [start(number, params=orjson.dumps({"x": number})) for number in range(300)]
        await worker.send(definitions=[definition(SET)], starts=runs)
        await worker.until(lambda w: len(w.finished) == 300)
        assert worker.frames <= 10
        assert worker.credit == 600
        assert [worker.finished[number].output for number in (0, 299)] == [b"0", b"299"]
        assert {ended.state for ended in worker.finished.values()} == {"SUCCEEDED"}


async def test_a_call_starts_after_the_previous_step_is_durable() -> None:
    called: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        called.append(request.headers["Idempotency-Key"])
        return web.json_response({"n": len(called)})

    document = pipeline(step("a", "t.x"), step("b", "t.x", input={"n": "${steps.a.n}"}), output="${steps.b.n}")
    async with tool_server(handle) as port, engine() as running, Worker(running, commits=False) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        await worker.until(lambda w: len(w.committed) == 1)
        assert called == ["root-1/a"]
        assert (worker.committed[0].path, worker.committed[0].state) == ("a", "SUCCEEDED")
        await worker.send(committed=[pb.StepCommitted(handle=1)])
        ended = await worker.result(1)
        assert called == ["root-1/a", "root-1/b"]
        assert [entry.path for entry in ended.entries] == ["b"]
        assert ended.output == b"2"


async def test_effects_are_sent_to_the_worker_and_a_journal_resumes() -> None:
    """The effect carries the entries before it; a resumed run repeats nothing."""
    document = pipeline(
        step("a", input={"x": 1}),
        step("p", "orchestrator.put_state", input={"namespace": "n", "key": "k", "value": "${steps.a.x}"}),
        output="${steps.p.revision}",
    )
    async with engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document)], starts=[start(1)])
        assert (await worker.result(1)).output == b"7"
        effect = worker.effects[0]
        assert [entry.path for entry in effect.entries] == ["a"]
        assert (effect.step.tool, effect.idempotency_key) == ("orchestrator.put_state", "root-1/p")
        done = pb.JournalEntry(path="p", attempt=1, state="SUCCEEDED", output=b'{"revision":3}')
        await worker.send(starts=[start(2, journal=[*effect.entries, done])])
        ended = await worker.result(2)
        assert ended.output == b"3"
        assert not ended.entries
        assert len(worker.effects) == 1


async def test_iterations_run_concurrently_with_one_write_in_flight() -> None:
    """All calls are in flight at once; the second write is sent after the first is acknowledged."""
    waiting, going = 0, asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting == 3:
            going.set()
        await asyncio.wait_for(going.wait(), PATIENCE)
        return web.json_response(await request.json())

    body = [step("a", "t.x", input={"n": "${item}"}), step("b", "t.x", input={"n": "${steps.a.n}"})]
    document = pipeline({"id": "loop", "foreach": [1, 2, 3], "do": body}, output="${steps.loop[*].n}")
    async with tool_server(handle) as port, engine() as running, Worker(running, commits=False) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        seen = 0
        while not worker.finished:
            await worker.until(lambda w, seen=seen: len(w.committed) > seen or bool(w.finished))  # type: ignore[misc]
            assert len(worker.acknowledgeable) <= 1, "one write of a run at a time"
            seen = len(worker.committed)
            if worker.acknowledgeable:
                worker.acknowledgeable.clear()
                await worker.send(committed=[pb.StepCommitted(handle=1)])
        assert worker.finished[1].output == b"[1,2,3]"
        recorded = [entry.path for entry in [*worker.committed, *worker.finished[1].entries]]
        assert sorted(recorded) == ["loop", *sorted(f"loop[{n}].{name}" for n in range(3) for name in "ab")]


async def test_cancelled_runs_stop_and_return_their_credit() -> None:
    """Without a message for them."""
    entered, left = asyncio.Event(), asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return web.Response()

    document = pipeline(step("a", "t.x"))
    async with tool_server(handle) as port, engine(credit=5) as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        await asyncio.wait_for(entered.wait(), PATIENCE)
        await worker.send(cancels=[pb.RunCancel(handle=1), pb.RunCancel(handle=77)])
        await worker.until(lambda w: w.credit == 6)
        await worker.send(definitions=[definition(SET, name="s")], starts=[start(2, "s", params=b'{"x":1}')])
        await worker.result(2)
        assert set(worker.finished) == {2}


async def test_long_delays_leave_the_engine() -> None:
    """With an entry for the failed attempt."""

    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    document = pipeline(step("a", "t.x", retry={"max": 1, "delay": "1h", "jitter": 0}))
    async with tool_server(handle) as port, engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        await worker.until(lambda w: 1 in w.delayed)
        delayed = worker.delayed[1]
        assert delayed.delay_ms == 3_600_000
        assert [(entry.path, entry.attempt, entry.state) for entry in delayed.entries] == [("a", 1, "FAILED")]


async def test_isolated_streams_are_served_one_at_a_time() -> None:
    """The second one gets credit when the first has ended; ordinary streams do not wait."""
    async with engine(credit=4) as running:
        async with Worker(running, isolated=True) as first:
            await first.until(lambda w: w.credit == 4)
            second = Worker(running, isolated=True)
            await second.__aenter__()
            async with Worker(running) as ordinary:
                await ordinary.until(lambda w: w.credit == 4)
            assert second.credit == 0
        await second.until(lambda w: w.credit == 4)
        await second.__aexit__()


async def test_a_broken_stream_drops_its_runs() -> None:
    """The engine serves the next stream."""
    entered = asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        return web.Response()

    document = pipeline(step("a", "t.x"))
    async with tool_server(handle) as port, engine() as running:
        async with Worker(running) as worker:
            await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
            await asyncio.wait_for(entered.wait(), PATIENCE)
        async with Worker(running) as worker:
            await worker.send(definitions=[definition(SET, name="s")], starts=[start(1, "s", params=b'{"x":5}')])
            assert (await worker.result(1)).output == b"5"


async def test_draining_ends_streams_after_their_runs() -> None:
    """Live runs end normally, without further credit."""
    going = asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        await going.wait()
        return web.json_response({})

    document = pipeline(step("a", "t.x"))
    async with tool_server(handle) as port, engine(credit=3) as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        await worker.until(lambda w: w.credit == 3)
        draining = asyncio.create_task(running.service.drain(10))
        going.set()
        assert (await worker.result(1)).state == "SUCCEEDED"
        await draining
        assert await worker.call.code() == grpc.StatusCode.OK
        assert worker.credit == 3


async def test_streams_with_long_runs_end_without_an_error_before_the_grace_period() -> None:
    """So that the worker returns the runs uncounted."""
    entered = asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    document = pipeline(step("a", "t.x"))
    async with tool_server(handle) as port, engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1)])
        await asyncio.wait_for(entered.wait(), 10)
        await running.service.drain(0.05)
        assert await worker.call.code() == grpc.StatusCode.OK


async def test_a_run_without_definition_ends_the_stream() -> None:
    """It is a defect of the worker."""
    async with engine() as running, Worker(running) as worker:
        await worker.send(starts=[start(1)])
        assert await worker.call.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_an_invalid_definition_fails_only_its_run() -> None:
    """For example a document of another version."""
    async with engine() as running, Worker(running) as worker:
        bad = definition({"version": 9, "steps": []}, name="bad")
        await worker.send(definitions=[bad, definition(SET)], starts=[start(1, "bad"), start(2, params=b'{"x":1}')])
        assert orjson.loads((await worker.result(1)).error)["code"] == "VALIDATION_INPUT"
        assert (await worker.result(2)).state == "SUCCEEDED"
        await worker.until(lambda w: w.credit == 402)


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_calls_without_the_internal_token_are_rejected(token: str) -> None:
    async with engine() as running, Worker(running, token=token) as worker:
        assert await worker.call.code() == grpc.StatusCode.PERMISSION_DENIED


class BrokenTools:
    """Tools that raise an unexpected exception."""

    async def call(self, request: Call) -> Output | Failure:
        raise KeyError(request.idempotency_key)


async def test_a_defect_fails_one_run_and_exposes_no_details() -> None:
    """The run gets an id, the log the details; other runs continue."""
    document = pipeline(step("a", "t.x", retry=0))
    async with engine(port_to_tools=BrokenTools()) as running, Worker(running) as worker:
        definitions = [definition(document, http_tool("t.x", 1)), definition(SET, name="s")]
        await worker.send(definitions=definitions, starts=[start(1), start(2, "s", params=b'{"x":1}')])
        error = orjson.loads((await worker.result(1)).error)
        assert error["message"].startswith("internal error (id ")
        assert "root-1" not in str(error)
        assert (await worker.result(2)).state == "SUCCEEDED"


async def test_malformed_bytes_end_the_stream_with_a_reason() -> None:
    """They are an error of the caller."""
    async with engine() as running:
        method = "/ordinaut.internal.v1.PipelineEngineService/Execute"
        call: Any = running.channel.stream_stream(method)(metadata=internal_metadata(TOKEN))
        await call.write(b"\xff\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(_read_all(call), PATIENCE)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def _read_all(call: Any) -> None:
    async for _ in call:
        pass


async def test_a_cancelled_run_is_reported_with_the_attempts_that_were_cut_off() -> None:
    """Only if the worker asks for it; a call in flight is made durable after a second."""
    called, going = asyncio.Semaphore(0), asyncio.Event()

    async def handle(_request: web.Request) -> web.Response:
        called.release()
        await going.wait()
        return web.json_response({})

    document = pipeline(step("s", input={"x": 1}), step("a", "t.x"))
    async with tool_server(handle) as port, engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1), start(2)])
        await called.acquire()
        await called.acquire()
        await worker.until(lambda w: len(w.committed) == 4)
        assert {(entry.path, entry.state) for entry in worker.committed} == {("s", "SUCCEEDED"), ("a", "STARTED")}
        await worker.send(cancels=[pb.RunCancel(handle=2), pb.RunCancel(handle=1, report=True)])
        ended = await worker.result(1)
        assert (ended.state, [(entry.path, entry.state) for entry in ended.entries]) == (
            "CANCELLED", [("a", "CANCELLED")],
        )  # fmt: skip
        assert ended.entries[0].start_us <= ended.entries[0].end_us
        assert 2 not in worker.finished
        going.set()


async def test_a_cancelled_run_reports_after_its_finally() -> None:
    """Also one that waits in the engine's queue; a run that the worker has dropped does nothing more."""
    called = asyncio.Semaphore(0)

    async def handle(_request: web.Request) -> web.Response:
        called.release()
        await asyncio.Event().wait()
        return web.json_response({})

    close = step("close", input={"state": "${run.state}"})
    document = {**pipeline(step("a", "t.x")), "finally": [close]}
    async with tool_server(handle) as port, engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(document, http_tool("t.x", port))], starts=[start(1), start(2)])
        await called.acquire()
        await called.acquire()
        await worker.send(
            starts=[start(3), start(4, cancelled=True)],
            cancels=[pb.RunCancel(handle=2), *(pb.RunCancel(handle=number, report=True) for number in (1, 1, 3, 4))],
        )
        for number in (1, 3, 4):
            ended = await worker.result(number)
            paths = [entry.path for entry in ended.entries if entry.path != "a"]
            assert (ended.state, paths) == ("CANCELLED", ["finally", "finally.close"])
            assert orjson.loads(ended.entries[-1].output) == {"state": "CANCELLED"}
        assert 2 not in worker.finished


async def test_a_run_that_cannot_be_executed_any_more_ends_as_it_was_to_end() -> None:
    broken = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": "${no such"}}], "finally": []}
    async with engine() as running, Worker(running) as worker:
        await worker.send(definitions=[definition(broken)], starts=[start(1), start(2, cancelled=True)])
        assert (await worker.result(1)).state == "FAILED"
        assert (await worker.result(2)).state == "CANCELLED"
