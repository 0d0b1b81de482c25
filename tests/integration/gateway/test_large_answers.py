"""What is stored can be read: pages end before they are too large to receive, and one large thing is sent whole."""

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from ordinaut.store import event
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, ListEventsRequest, PublishEventRequest
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ListRunsRequest
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import ListStateEntriesRequest, PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import BatchCreateTasksRequest, CreateTaskRequest, ListTasksRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import Caller, GatewaySystem, a_task, gateway_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
LARGE = "x" * 1_000_000
COUNT = 7


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        yield started


async def test_large_values_are_split_into_pages(system: GatewaySystem) -> None:
    """Each of them once, in order, whatever page size is asked for."""
    names = [f"state/large/k{number}" for number in range(COUNT)]
    for name in names:
        entry = StateEntry(name=name)
        entry.value.string_value = LARGE
        await system.admin.state.PutStateEntry(PutStateEntryRequest(entry=entry))
    found, token, pages = [], "", 0
    while pages < COUNT + 1:
        request = ListStateEntriesRequest(parent="state/large", page_size=5, page_token=token)
        page = await system.admin.state.ListStateEntries(request)
        assert 1 <= len(page.entries) <= 5
        found += [entry.name for entry in page.entries]
        pages += 1
        if not (token := page.next_page_token):
            break
    assert (found, pages) == (names, 3)


async def test_large_events_are_split_into_pages(system: GatewaySystem) -> None:
    """Also those that one batch published."""
    published = Event(topic="large.one")
    published.data.update({"text": LARGE})
    request = BatchPublishEventsRequest(requests=[PublishEventRequest(event=published)] * 3)
    for _ in range(2):
        await system.admin.events.BatchPublishEvents(request)
    async with system.database.transaction() as connection:
        await event.number(connection)
    found: list[int] = []
    token = ""
    while True:
        listed = ListEventsRequest(topic="large.*", page_token=token)
        page = await system.admin.events.ListEvents(listed)
        found += [told.position for told in page.events]
        if not (token := page.next_page_token):
            break
    assert len(found) == 6
    assert found == sorted(set(found))


async def test_large_runs_are_split_into_pages(system: GatewaySystem) -> None:
    request = CreateRunRequest(pipeline=a_task().pipeline)
    request.params.update({"x": LARGE})
    made = [(await system.admin.runs.CreateRun(request)).name for _ in range(4)]
    found: list[str] = []
    token = ""
    while True:
        page = await system.admin.runs.ListRuns(ListRunsRequest(page_token=token))
        found += [run.name for run in page.runs]
        if not (token := page.next_page_token):
            break
    assert found == made[::-1]


async def test_a_single_large_element_is_sent(system: GatewaySystem) -> None:
    """A batch of tasks whose answer is larger than its request: the client sets its own limit."""
    described = a_task(description="d" * 9_000, schedule={"triggers": [{"interval": "60s"}]})
    batch = BatchCreateTasksRequest(
        requests=[CreateTaskRequest(task=described, task_id=f"wide-{number}") for number in range(440)]
    )
    assert batch.ByteSize() < 4 * 1024 * 1024
    options = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.port}", options=options) as channel:
        answer = await Caller(channel, system.admin.token).tasks.BatchCreateTasks(batch)
    assert answer.ByteSize() > 4 * 1024 * 1024
    assert len(answer.tasks) == 440
    page = await system.admin.tasks.ListTasks(ListTasksRequest(page_size=1000))
    assert page.next_page_token
