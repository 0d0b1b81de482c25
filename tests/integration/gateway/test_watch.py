"""Publishing and watching: nothing is missed, nothing comes twice, nobody's slowness costs another."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict

from ordinaut.store import event
from ordinaut.store.hints import EVENTS, RUN, Hints
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import ListEventsRequest, PublishEventRequest, WatchEventsRequest
from ordinaut.v1.run_service_pb2 import CancelRunRequest, WatchRunRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.view_pb2 import BASIC, FULL, VIEW_UNSPECIFIED
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal
from tests.patience import PATIENCE


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def publish(topic: str, **fields: Any) -> PublishEventRequest:
    return PublishEventRequest(event=ParseDict({"topic": topic, **fields}, Event()))


async def number(system: GatewaySystem) -> None:
    """What the scheduler's relay does, with its hint."""
    async with system.database.transaction() as connection:
        while await event.number(connection):
            pass
    async with system.database.connection() as connection:
        await connection.execute("SELECT pg_notify('ordinaut', $1)", EVENTS)


async def take(stream: Any, count: int) -> list[Any]:
    async with asyncio.timeout(PATIENCE):
        return [await anext(stream) for _ in range(count)]


async def test_an_event_id_is_appended_once(system: GatewaySystem) -> None:
    """A repetition gets the response of the first; the same id with another source is another event."""
    first = await system.admin.events.PublishEvent(publish("mail.sent", id="1", data={"n": 1}))
    assert (first.source, first.publisher, first.position) == ("agents/admin", "agents/admin", 0)
    again = await system.admin.events.PublishEvent(publish("mail.sent", id="1", data={"n": 1}))
    other = await system.admin.events.PublishEvent(publish("mail.sent", id="1", source="elsewhere"))
    assert again == first
    assert other.name != first.name
    await number(system)
    listed = await system.admin.events.ListEvents(ListEventsRequest())
    assert [(found.name, found.position) for found in listed.events] == [(first.name, 1), (other.name, 2)]
    assert listed.events[0].data == publish("x", data={"n": 1}).event.data
    assert listed.events[0].publish_time == first.publish_time


async def test_topics_require_scopes_and_system_topics_are_reserved(system: GatewaySystem) -> None:
    """And must be topics."""
    agent = await system.agent("mailer", "events:publish:mail.*", "events:read:mail.*")
    await agent.events.PublishEvent(publish("mail.sent"))
    assert (await refusal(agent.events.PublishEvent(publish("orders.new")))).reason == "MISSING_SCOPE"
    refused = await refusal(system.admin.events.PublishEvent(publish("ordinaut.run.queued")))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "RESERVED")
    for topic in ("", "Mail", "mail.*", "a b", "a..b", "x" * 300):
        assert (await refusal(system.admin.events.PublishEvent(publish(topic)))).reason == "INVALID_TOPIC"
    set_by_caller = publish("mail.sent", publisher="agents/boss", position=7)
    assert (await refusal(system.admin.events.PublishEvent(set_by_caller))).reason == "FIELD_NOT_WRITABLE"
    await system.admin.events.PublishEvent(publish("orders.new"))
    await number(system)
    assert [found.topic for found in (await agent.events.ListEvents(ListEventsRequest())).events] == ["mail.sent"]


async def test_the_log_is_listed_by_pattern_and_page(system: GatewaySystem) -> None:
    """Across rows of any size."""
    for index in range(5):
        await system.admin.events.PublishEvent(publish(f"a.{'b' if index % 2 else 'c'}.d", data={"n": index}))
    await number(system)
    request, seen = ListEventsRequest(topic="a.c.>", page_size=2), []
    while True:
        page = await system.admin.events.ListEvents(request)
        seen += [found.data["n"] for found in page.events]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == [0, 2, 4]
    later = await system.admin.events.ListEvents(ListEventsRequest(after_position=3))
    assert [found.position for found in later.events] == [4, 5]
    assert (await refusal(system.admin.events.ListEvents(ListEventsRequest(topic="a.>.b")))).reason == "INVALID_TOPIC"


async def test_a_watcher_resumes_at_its_position(system: GatewaySystem) -> None:
    """From the beginning, from a position, or from now on; of its own project only."""
    elsewhere = await system.project("elsewhere")
    for index in range(3):
        await system.admin.events.PublishEvent(publish("a.b", data={"n": index}))
        await elsewhere.events.PublishEvent(publish("a.b"))
    await number(system)
    whole = aiter(system.admin.events.WatchEvents(WatchEventsRequest(after_position=0)))
    first = await take(whole, 3)
    assert [answer.event.data["n"] for answer in first] == [0, 1, 2]
    rest = aiter(
        system.admin.events.WatchEvents(WatchEventsRequest(after_position=first[1].event.position, topic="a.*"))
    )
    assert (await take(rest, 1))[0].event.name == first[2].event.name
    await system.admin.events.PublishEvent(publish("a.b", data={"n": 3}))
    await number(system)
    assert [(await take(stream, 1))[0].event.data["n"] for stream in (whole, rest)] == [3, 3]


async def test_a_position_outside_the_log_is_out_of_range(system: GatewaySystem) -> None:
    """Ahead of it, or deleted; 0 is always the beginning."""
    for _ in range(3):
        await system.admin.events.PublishEvent(publish("a.b"))
    await number(system)
    async with system.database.connection() as connection:
        await connection.execute("DELETE FROM outbox WHERE position < 3")
    for position in (1, 4):
        refused = await refusal(system.admin.events.WatchEvents(WatchEventsRequest(after_position=position)))
        assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "POSITION_OUT_OF_RANGE")
    for position in (0, 2):
        stream = aiter(system.admin.events.WatchEvents(WatchEventsRequest(after_position=position)))
        assert (await take(stream, 1))[0].event.position == 3


async def test_a_slow_watcher_receives_every_event(system: GatewaySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process keeps the newest rows only; who is behind them reads the log."""
    monkeypatch.setattr("gateway.events.watch.ROWS_MAX", 3)
    monkeypatch.setattr("gateway.events.watch.BATCH", 4)
    slow = aiter(system.admin.events.WatchEvents(WatchEventsRequest(after_position=0)))
    quick = aiter(system.admin.events.WatchEvents(WatchEventsRequest(after_position=0)))
    for index in range(30):
        await system.admin.events.PublishEvent(publish("a.b", data={"n": index, "text": "x" * 1000}))
        await number(system)
        assert (await take(quick, 1))[0].event.data["n"] == index
    assert [answer.event.data["n"] for answer in await take(slow, 30)] == list(range(30))


async def test_a_run_is_watched_until_it_has_ended(system: GatewaySystem) -> None:
    """The first answer is the run as it is; each change follows, with the changed steps; the stream ends by itself."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    views = [VIEW_UNSPECIFIED, BASIC, FULL]
    streams = [aiter(system.admin.runs.WatchRun(WatchRunRequest(name=run.name, view=view))) for view in views]
    for stream in streams:
        assert (await take(stream, 1))[0].run == run
    await start(system, run.name)
    for stream in streams:
        running = (await take(stream, 1))[0].run
        assert (running.state, running.claims) == (running.RUNNING, 1)
    await record_step(system, run.name)
    for stream, view in zip(streams, views, strict=True):
        answer = (await take(stream, 1))[0]
        step = answer.steps[0]
        assert (step.path, step.state, step.HasField("input"), step.output.number_value) == (
            "a",
            step.SUCCEEDED,
            view == FULL,
            1 if view == FULL else 0,
        )
        assert step.idempotency_key.endswith(f"/run:{run.name[5:]}/a")
        assert not answer.run.steps
    await release(system, run.name)
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    for stream in streams:
        async with asyncio.timeout(PATIENCE):
            answers = [answer async for answer in stream]
        assert answers[-1].run.state == run.CANCELLED
        assert not any(answer.steps for answer in answers)


async def test_cancelling_a_leased_run_is_left_to_its_worker(system: GatewaySystem) -> None:
    """The run goes on until its worker has heard."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    await start(system, run.name)
    answer = await system.admin.runs.CancelRun(CancelRunRequest(name=run.name, reason="no more"))
    assert (answer.state, answer.cancel_reason) == (answer.RUNNING, "no more")
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT cancel_requested FROM due_work")


async def start(system: GatewaySystem, name: str) -> None:
    """What a claim does to the row."""
    await _change(
        system,
        "UPDATE due_work SET state = 'LEASED', claims = claims + 1, fence = fence + 1, start_time = clock_now(),"
        " segment_time = clock_now() WHERE id = $1",
        UUID(name[5:]),
    )


async def record_step(system: GatewaySystem, name: str) -> None:
    """What a journal entry is."""
    await _change(
        system,
        "INSERT INTO step_run (run, path, attempt, seq, state, tool, input, output, segment_time, start_time, end_time)"
        " VALUES ($1, 'a', 1, 0, 'SUCCEEDED', 'orchestrator.set', '{}', '1', clock_now(), clock_now(), clock_now())",
        UUID(name[5:]),
    )


async def release(system: GatewaySystem, name: str) -> None:
    """What a draining worker does."""
    await _change(system, "UPDATE due_work SET state = 'READY' WHERE id = $1", UUID(name[5:]))


async def _change(system: GatewaySystem, statement: str, *arguments: Any) -> None:
    async with system.database.connection() as connection:
        await connection.execute(statement, *arguments)
        await connection.execute("SELECT pg_notify('ordinaut', $1)", RUN)


async def test_a_watch_works_without_hints(system: GatewaySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost hint costs a second, not the news."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    stream = aiter(system.admin.runs.WatchRun(WatchRunRequest(name=run.name)))
    await take(stream, 1)
    monkeypatch.setattr(Hints, "_wake_subscribers", lambda _hints, _topic: None)
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    assert (await take(stream, 1))[0].run.state == run.CANCELLED
