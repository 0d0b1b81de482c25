"""The client itself: one attribute per service, and what is more than a single call."""

import os
import uuid
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import grpc
from google.protobuf import json_format

from ordinaut.client.channel import Methods, open_channel
from ordinaut.client.resume import Patience, repeated, resumed
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

if TYPE_CHECKING:  # these exist for type checkers alone
    from ordinaut.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from ordinaut.v1.approval_service_pb2_grpc import ApprovalServiceAsyncStub
    from ordinaut.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from ordinaut.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from ordinaut.v1.state_service_pb2_grpc import StateServiceAsyncStub
    from ordinaut.v1.system_service_pb2_grpc import SystemServiceAsyncStub
    from ordinaut.v1.task_service_pb2_grpc import TaskServiceAsyncStub
    from ordinaut.v1.tool_service_pb2_grpc import ToolServiceAsyncStub

DEFAULT_ADDRESS = "127.0.0.1:50051"
ENDED = frozenset({Run.SUCCEEDED, Run.FAILED, Run.CANCELLED})


class Client:
    """A connection to Ordinaut with one caller's token: `async with Client(address, token) as client`.

    `tasks runs approvals events tools state agents system` are the generated stubs: await a unary method, iterate a
    streaming one (nothing else of a grpc call object is there). Each shows the token, has a deadline of 30 s unless
    `timeout` says otherwise, and raises `ApiError`.
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
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channel: grpc.aio.Channel | None = None

    @classmethod
    def from_env(cls) -> Self:
        """A client of ORDINAUT_ADDRESS (default 127.0.0.1:50051) with ORDINAUT_TOKEN."""
        return cls(os.environ.get("ORDINAUT_ADDRESS") or DEFAULT_ADDRESS, os.environ.get("ORDINAUT_TOKEN", ""))

    async def __aenter__(self) -> Self:
        """Opens the channel; it connects with the first call, and again whenever the connection breaks."""
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
        """Closes the channel; calls under way are cancelled."""
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
        patience: Patience | None = None,
    ) -> Event:
        """Publishes an event once, however often the connection breaks meanwhile.

        Raises:
            ApiError: it was refused, or nothing answered within the patience.
        """
        event = Event(topic=topic, source=source, subject=subject, id=event_id)
        json_format.ParseDict(dict(data or {}), event.data)
        request = PublishEventRequest(event=event, request_id=str(uuid.uuid4()))
        return await repeated(lambda: self.events.PublishEvent(request), patience or Patience())

    async def watch_events(
        self, topic: str = "", *, after_position: int | None = None, patience: Patience | None = None
    ) -> AsyncIterator[Event]:
        """Events as they come, each once, also over broken connections: it goes on after the last one seen.

        Without `after_position` it begins now; what is published while the connection is broken before the first
        event came is not seen.

        Raises:
            ApiError: it was refused, or nothing answered within the patience.
        """
        position = after_position

        def again() -> Any:
            request = WatchEventsRequest(topic=topic)
            if position is not None:
                request.after_position = position
            return self.events.WatchEvents(request)

        async for answer in resumed(again, patience or Patience()):
            position = answer.event.position
            yield answer.event

    async def watch_run(self, name: str, *, patience: Patience | None = None) -> AsyncIterator[Run]:
        """The run with all its steps, now and after each change until it has ended, also over broken connections.

        The steps have no input and output: `runs.GetRun` has them.

        Raises:
            ApiError: it was refused, or nothing answered within the patience.
        """
        steps: dict[tuple[str, int], StepRun] = {}

        def again() -> Any:
            steps.clear()  # the first answer of each stream has all of them
            return self.runs.WatchRun(WatchRunRequest(name=name))

        async for answer in resumed(again, patience or Patience()):
            steps.update(((step.path, step.attempt), step) for step in answer.steps)
            answer.run.steps.extend(steps.values())
            yield answer.run
            if answer.run.state in ENDED:
                return
