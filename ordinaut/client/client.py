"""The client: one attribute per service, and helpers that retry or resume calls."""

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import grpc
from google.protobuf import json_format

from ordinaut.client.channel import MAX_RESPONSE_BYTES, Methods, open_channel
from ordinaut.client.retry import RetryPolicy, resuming_stream, with_retries
from ordinaut.limits import GRPC_PORT
from ordinaut.v1 import agent_service_pb2_grpc as agents_grpc
from ordinaut.v1 import approval_service_pb2_grpc as approvals_grpc
from ordinaut.v1 import event_service_pb2_grpc as events_grpc
from ordinaut.v1 import run_service_pb2_grpc as runs_grpc
from ordinaut.v1 import state_service_pb2_grpc as state_grpc
from ordinaut.v1 import system_service_pb2_grpc as system_grpc
from ordinaut.v1 import task_service_pb2_grpc as tasks_grpc
from ordinaut.v1 import tool_service_pb2_grpc as tools_grpc
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest, WatchEventsRequest
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import WatchRunRequest

if TYPE_CHECKING:  # these classes exist only in the type stubs
    from ordinaut.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from ordinaut.v1.approval_service_pb2_grpc import ApprovalServiceAsyncStub
    from ordinaut.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from ordinaut.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from ordinaut.v1.state_service_pb2_grpc import StateServiceAsyncStub
    from ordinaut.v1.system_service_pb2_grpc import SystemServiceAsyncStub
    from ordinaut.v1.task_service_pb2_grpc import TaskServiceAsyncStub
    from ordinaut.v1.tool_service_pb2_grpc import ToolServiceAsyncStub

DEFAULT_ADDRESS = f"127.0.0.1:{GRPC_PORT}"
ENDED = frozenset({Run.SUCCEEDED, Run.FAILED, Run.CANCELLED})


class Client:
    """A connection to a gateway with the token of one caller: `async with Client(address, token) as client`.

    `tasks runs approvals events tools state agents system` wrap the generated stubs: await a unary method, iterate a
    streaming one; other attributes of grpc call objects are not available. Each call sends the token, has a deadline
    of 30 s unless `timeout` is given, and raises `ApiError`.
    """

    tasks: "TaskServiceAsyncStub"
    runs: "RunServiceAsyncStub"
    approvals: "ApprovalServiceAsyncStub"
    events: "EventServiceAsyncStub"
    tools: "ToolServiceAsyncStub"
    state: "StateServiceAsyncStub"
    agents: "AgentServiceAsyncStub"
    system: "SystemServiceAsyncStub"

    def __init__(self, address: str = DEFAULT_ADDRESS, token: str = "") -> None:
        self._address = address
        accepted = (("ordinaut-max-response-bytes", str(MAX_RESPONSE_BYTES)),)
        self._metadata = (*accepted, ("authorization", f"Bearer {token}")) if token else accepted
        self._channel: grpc.aio.Channel | None = None

    @classmethod
    def from_env(cls) -> Self:
        """Creates a client for ORDINAUT_ADDRESS (default 127.0.0.1:50051) with ORDINAUT_TOKEN."""
        return cls(os.environ.get("ORDINAUT_ADDRESS") or DEFAULT_ADDRESS, os.environ.get("ORDINAUT_TOKEN", ""))

    async def __aenter__(self) -> Self:
        """Opens the channel, which connects on the first call and reconnects automatically."""
        channel = self._channel = open_channel(self._address)
        self.tasks = cast("TaskServiceAsyncStub", Methods(tasks_grpc.TaskServiceStub(channel), self._metadata))
        self.runs = cast("RunServiceAsyncStub", Methods(runs_grpc.RunServiceStub(channel), self._metadata))
        approvals = Methods(approvals_grpc.ApprovalServiceStub(channel), self._metadata)
        self.approvals = cast("ApprovalServiceAsyncStub", approvals)
        self.events = cast("EventServiceAsyncStub", Methods(events_grpc.EventServiceStub(channel), self._metadata))
        self.tools = cast("ToolServiceAsyncStub", Methods(tools_grpc.ToolServiceStub(channel), self._metadata))
        self.state = cast("StateServiceAsyncStub", Methods(state_grpc.StateServiceStub(channel), self._metadata))
        self.agents = cast("AgentServiceAsyncStub", Methods(agents_grpc.AgentServiceStub(channel), self._metadata))
        self.system = cast("SystemServiceAsyncStub", Methods(system_grpc.SystemServiceStub(channel), self._metadata))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the channel and cancels active calls."""
        if self._channel is not None:
            await self._channel.close()

    async def publish(
        self,
        topic: str,
        data: Mapping[str, Any] | None = None,
        *,
        source: str = "",
        subject: str = "",
        event_id: str = "",
        retry: RetryPolicy | None = None,
    ) -> Event:
        """Publishes an event exactly once; retries until the gateway answers.

        Raises:
            ApiError: the gateway rejected the event, or did not answer within the retry policy.
        """
        event = Event(topic=topic, source=source, subject=subject, id=event_id)
        json_format.ParseDict(dict(data or {}), event.data)
        request = PublishEventRequest(event=event, request_id=str(uuid.uuid4()))
        return await with_retries(lambda: self.events.PublishEvent(request), retry or RetryPolicy())

    async def watch_events(
        self, topic: str = "", *, after_position: int | None = None, retry: RetryPolicy | None = None
    ) -> AsyncIterator[Event]:
        """Yields events as they are published, each once; after a broken connection it resumes after the last one.

        Without `after_position` it starts with the next event. In that case events are missed that are published while
        the connection is down before the first event was received.

        Raises:
            ApiError: the gateway rejected the call, or did not answer within the retry policy.
        """
        position = after_position

        def open_stream() -> Any:
            request = WatchEventsRequest(topic=topic)
            if position is not None:
                request.after_position = position
            return self.events.WatchEvents(request)

        async for answer in resuming_stream(open_stream, retry or RetryPolicy()):
            position = answer.event.position
            yield answer.event

    async def watch_run(self, name: str, *, retry: RetryPolicy | None = None) -> AsyncIterator[Run]:
        """Yields the run with all its steps, now and after each change until it has ended.

        The steps have no input and output; `runs.GetRun` returns them. Resumes after a broken connection.

        Raises:
            ApiError: the gateway rejected the call, or did not answer within the retry policy.
        """
        steps: dict[tuple[str, int], StepRun] = {}

        def open_stream() -> Any:
            steps.clear()  # the first response of each stream contains all steps
            return self.runs.WatchRun(WatchRunRequest(name=name))

        async for answer in resuming_stream(open_stream, retry or RetryPolicy()):
            steps.update(((step.path, step.attempt), step) for step in answer.steps)
            if not answer.HasField("run"):  # the next response continues the steps
                continue
            answer.run.steps.extend(steps.values())
            yield answer.run
            if answer.run.state in ENDED:
                return
