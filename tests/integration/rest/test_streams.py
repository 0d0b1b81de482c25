"""Server streams over HTTP: as lines or events, resumed after a disconnect, and cancelled with the client."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.events import watch
from gateway.rest.transcoding import streaming
from tests.integration.conftest import fresh_database
from tests.integration.gateway.test_watch import number
from tests.integration.support.rest_system import TASK, RestSystem, rest_system
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
SSE = "text/event-stream"
ABSENT = "runs/01a208f2-7e21-7792-beb8-3ec69593a833"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        yield started


class Listener:
    """Reads a stream as it comes."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def line(self) -> Any:
        """The next line as JSON."""
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.answer.content.readline())

    async def event(self) -> dict[str, str]:
        """The next event's fields; comments are skipped."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            while line := (await self.answer.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line == "\n" and fields:
                    return fields
                if name:
                    fields[name] = value
        return fields


def listening(rest: RestSystem, path: str, **headers: str) -> Any:
    """A request whose answer is a stream."""
    return rest.http.get(rest.base + path, headers={"authorization": f"Bearer {rest.grpc.admin.token}", **headers})


async def publish(rest: RestSystem, topic: str, **data: Any) -> None:
    """An event, numbered at once: no scheduler's relay runs here."""
    answer = await rest.call("POST", "/v1/events", {"topic": topic, "data": data})
    assert answer.status == 200
    await number(rest.grpc)


async def test_events_as_lines(rest: RestSystem) -> None:
    """From the beginning of the log, and then as they come."""
    await publish(rest, "lines.a", n=1)
    async with listening(rest, "/v1/events:watch?after_position=0&topic=lines.>") as answer:
        assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
        listener = Listener(answer)
        assert (await listener.line())["event"]["data"] == {"n": 1}
        await publish(rest, "lines.b", n=2)
        assert (await listener.line())["event"]["data"] == {"n": 2}


async def test_events_for_browsers(rest: RestSystem) -> None:
    """Each event's id is its position; a browser that comes back with the last one misses nothing."""
    for n in range(3):
        await publish(rest, "sse.a", n=n)
    path = "/v1/events:watch?after_position=0&topic=sse.a"
    async with listening(rest, path, accept=SSE) as answer:
        assert answer.headers["content-type"] == SSE
        first = await Listener(answer).event()
    told = json.loads(first["data"])["event"]
    assert (told["data"], first["id"]) == ({"n": 0}, told["position"])
    async with listening(rest, path, accept=SSE, **{"last-event-id": first["id"]}) as answer:
        listener = Listener(answer)
        assert [json.loads((await listener.event())["data"])["event"]["data"]["n"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("remembered", ["9" * 5000, "x", "-1", "1.5", ""])
async def test_a_foreign_event_id_is_ignored(rest: RestSystem, remembered: str) -> None:
    """What another server made a browser remember does not break its stream here."""
    await publish(rest, "foreign.a")
    path = "/v1/events:watch?after_position=0&topic=foreign.a"
    async with listening(rest, path, accept=SSE, **{"last-event-id": remembered}) as answer:
        assert json.loads((await Listener(answer).event())["data"])["event"]["topic"] == "foreign.a"


async def test_a_run_is_watched_to_its_end(rest: RestSystem) -> None:
    """The stream ends with the run, and says so to browsers, which would come back otherwise."""
    await rest.call("POST", "/v1/tasks?task_id=seen", TASK)
    for accept, end in (("*/*", None), (SSE, {"event": "end", "data": "{}"})):
        run = (await rest.call("POST", "/v1/tasks/seen:run")).json["name"]
        async with listening(rest, f"/v1/{run}:watch", accept=accept) as answer:
            listener = Listener(answer)
            first = await listener.line() if end is None else json.loads((await listener.event())["data"])
            assert first["run"]["state"] == "QUEUED"
            assert (await rest.call("POST", f"/v1/{run}:cancel")).status == 200
            last = await listener.line() if end is None else json.loads((await listener.event())["data"])
            assert last["run"]["state"] == "CANCELLED"
            assert (await answer.content.read() == b"") if end is None else (await listener.event() == end)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"/v1/{ABSENT}:watch", 404, "RESOURCE_NOT_FOUND"),
        ("/v1/runs/x:watch", 400, "NAME_INVALID"),
        ("/v1/events:watch?topic=A", 400, "INVALID_TOPIC"),
        ("/v1/events:watch?after_position=999999999", 400, "POSITION_OUT_OF_RANGE"),
        ("/v1/events:watch?after_position=x", 400, "FIELD_INVALID"),
    ],
)
async def test_a_stream_that_fails_before_the_first_response(
    rest: RestSystem, path: str, status: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused like any other call, with a status of its own."""
    monkeypatch.setattr(streaming, "START_SECONDS", PATIENCE)  # a refusal that comes later has a status of 200
    refused = await rest.call("GET", path)
    assert (refused.status, refused.reason) == (status, reason)
    unknown = await rest.call("GET", path.replace("=x", "=0"), token="")
    assert (unknown.status, unknown.reason) == (401, "TOKEN_INVALID")


async def test_a_stream_ends_when_the_client_disconnects(rest: RestSystem) -> None:
    """A caller who hangs up ends the call behind the stream."""
    watchers = watch.WATCHERS._value
    before = watchers.get()
    await publish(rest, "gone.a")
    async with listening(rest, "/v1/events:watch?after_position=0&topic=gone.a") as answer:
        await Listener(answer).line()
        assert watchers.get() == before + 1
        answer.close()
    async with asyncio.timeout(PATIENCE):
        while watchers.get() != before:
            await asyncio.sleep(0.01)


async def test_a_caller_sets_the_deadline(rest: RestSystem) -> None:
    """In seconds, as a header: what takes longer is 504, and a stream ends with the same."""
    headers = {"x-server-timeout": "1"}
    async with listening(rest, "/v1/events:watch?topic=silent.a", **headers) as answer:
        assert (await Listener(answer).line())["error"]["status"] == "DEADLINE_EXCEEDED"
    nobody_executes = "/v1/tools/orchestrator.set:call"
    late = await rest.call("POST", nobody_executes, {}, headers={"x-server-timeout": "0.2"})
    assert (late.status, late.reason) == (504, "DEADLINE")


async def test_a_stream_that_fails_reports_the_error(rest: RestSystem) -> None:
    """After answers have gone out, the error is the last line, and the last event."""
    await publish(rest, "broken.a")
    path = "/v1/events:watch?after_position=0&topic=broken.a"
    async with listening(rest, path) as lines, listening(rest, path, accept=SSE) as events:
        await Listener(lines).line()
        await Listener(events).event()
        await rest.grpc.gateway.event_watch.stop()
        said = (await Listener(lines).line())["error"]
        event = await Listener(events).event()
        assert (said["code"], said["status"]) == (503, "UNAVAILABLE")
        assert (event["event"], json.loads(event["data"])["error"]["status"]) == ("error", "UNAVAILABLE")
        assert await lines.content.read() == b""
