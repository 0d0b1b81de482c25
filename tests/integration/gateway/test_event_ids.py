"""An event's own id: the same event once, and never another event under the same id."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, ListEventsRequest, PublishEventRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from tests.integration.support.event_loops import event_loops
from tests.integration.support.gateway_system import Caller, GatewaySystem, finished, gateway_system, refusal, working

FIRST: dict[str, Any] = {"topic": "order.paid", "id": "o-1", "source": "shop", "subject": "s", "data": {"n": 1}}
OTHERS: list[dict[str, Any]] = [
    {"topic": "order.lost"}, {"subject": ""}, {"data": {"n": 2}}, {"data": {}}, {"data": {"n": 1, "m": None}},
]  # fmt: skip


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started, event_loops(started.database):
        yield started


def request(**changes: Any) -> PublishEventRequest:
    return json_format.ParseDict({"event": FIRST | changes}, PublishEventRequest())


def batch(*requests: PublishEventRequest) -> BatchPublishEventsRequest:
    return BatchPublishEventsRequest(requests=requests)


async def listed(system: GatewaySystem, count: int, topic: str = "order.*") -> list[Event]:
    """The events of the log once there are as many."""
    async with asyncio.timeout(10):
        while True:
            answer = await system.admin.events.ListEvents(ListEventsRequest(topic=topic))
            if len(answer.events) >= count:
                return list(answer.events)
            await asyncio.sleep(0.02)


async def test_a_repetition_gets_the_same_answer(system: GatewaySystem) -> None:
    """Alone, in a batch, twice in a batch, and many at a time."""
    first = await system.admin.events.PublishEvent(request())
    assert first.HasField("publish_time")
    assert await system.admin.events.PublishEvent(request()) == first
    alone = request(id="")
    answer = await system.admin.events.BatchPublishEvents(batch(request(), alone, request()))
    assert [answer.events[0], answer.events[2]] == [first, first]
    twins = await system.admin.events.BatchPublishEvents(batch(request(id="o-2"), request(id="o-2")))
    assert twins.events[0] == twins.events[1]
    racing = await asyncio.gather(*(system.admin.events.PublishEvent(request(id="o-3")) for _ in range(8)))
    assert all(answer == racing[0] for answer in racing)
    events = await listed(system, 4)
    assert [event.id for event in events] == ["o-1", "", "o-2", "o-3"]
    assert events[0].publish_time == first.publish_time


@pytest.mark.parametrize("changes", OTHERS)
async def test_an_id_is_not_reused(system: GatewaySystem, changes: dict[str, Any]) -> None:
    """Not in a later call, in a later batch or in the same batch; nothing of such a batch is published."""
    first = await system.admin.events.PublishEvent(request())
    events = system.admin.events
    for call in (
        events.PublishEvent(request(**changes)),
        events.BatchPublishEvents(batch(request(id=""), request(**changes))),
        events.BatchPublishEvents(batch(request(id="new"), request(**(changes | {"id": "new"})))),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "EVENT_ID_REUSED")
    assert (await refusal(events.PublishEvent(request(**changes)))).metadata == {
        "resource": first.name, "source": "shop", "id": "o-1",
    }  # fmt: skip
    await events.PublishEvent(request(id="last"))
    assert [event.id for event in await listed(system, 2)] == ["o-1", "last"]


async def test_ids_belong_to_a_publisher_a_source_and_a_project(system: GatewaySystem) -> None:
    bob, eve = await system.agent("bob", "events:publish"), await system.project("other")
    first = await system.admin.events.PublishEvent(request())

    async def another(caller: Caller, **changes: Any) -> str:
        published: Event = await caller.events.PublishEvent(request(data={"n": 2}, **changes))
        return published.name

    names = {first.name, await another(bob), await another(eve), await another(system.admin, source="store")}
    assert len(names) == 4


async def test_many_at_a_time_with_other_contents(system: GatewaySystem) -> None:
    """One is published, and each of the others is that one or refused."""
    calls = [system.admin.events.PublishEvent(request(data={"n": n % 3})) for n in range(9)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    published = [answer for answer in answers if isinstance(answer, Event)]
    assert len(published) == 3
    assert len({event.SerializeToString(deterministic=True) for event in published}) == 1


async def test_the_ids_of_a_runs_events(system: GatewaySystem, database_url: str) -> None:
    """They belong to the run: another run uses them again; within it the rule is the same."""

    def emit(name: str, **given: Any) -> dict[str, Any]:
        more = {"topic": "order.emitted", "id": "e-1", "data": {"n": 1}, **given}
        return {"id": name, "uses": "orchestrator.emit", "with": more, "on_error": "continue"}

    steps = [emit("a"), emit("b"), emit("c", data={"n": 2})]
    output = ["${steps.a.event}", "${steps.b.event}", "${steps.c.error.code}", "${steps.c.error.details.reason}"]
    document = {"pipeline": {"steps": steps, "output": output}}
    async with working(system, database_url):
        outputs: list[list[str]] = []
        for _ in range(2):
            run: Run = await system.admin.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
            ended = await finished(system.admin, run.name)
            outputs.append([item.string_value for item in ended.output.list_value.values])
    for first, again, *error in outputs:
        assert first == again
        assert error == ["TOOL_ERROR", "EVENT_ID_REUSED"]
    assert [event.name for event in await listed(system, 2)] == [outputs[0][0], outputs[1][0]]
