"""The client: one attribute per service, and helpers that retry or resume calls."""

import os
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import grpc
from google.protobuf import json_format

from ordinaut.client.channel import DEADLINE_SECONDS, MAX_RESPONSE_BYTES, Addresses, Methods, open_channel
from ordinaut.client.retry import RetryPolicy, resuming_stream
from ordinaut.limits import GRPC_PORT
from ordinaut.v1 import agent_service_pb2_grpc as agents_grpc
from ordinaut.v1 import approval_service_pb2_grpc as approvals_grpc
from ordinaut.v1 import audit_service_pb2_grpc as audit_grpc
from ordinaut.v1 import event_service_pb2_grpc as events_grpc
from ordinaut.v1 import project_service_pb2_grpc as projects_grpc
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
    from ordinaut.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from ordinaut.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from ordinaut.v1.project_service_pb2_grpc import ProjectServiceAsyncStub
    from ordinaut.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from ordinaut.v1.state_service_pb2_grpc import StateServiceAsyncStub
    from ordinaut.v1.system_service_pb2_grpc import SystemServiceAsyncStub
    from ordinaut.v1.task_service_pb2_grpc import TaskServiceAsyncStub
    from ordinaut.v1.tool_service_pb2_grpc import ToolServiceAsyncStub

DEFAULT_ADDRESS = f"127.0.0.1:{GRPC_PORT}"
CALL_RETRY_POLICY = RetryPolicy(give_up_after=10.0, max_delay=2.0)
ENDED = frozenset({Run.SUCCEEDED, Run.FAILED, Run.CANCELLED})


class Client:
    """A connection to a gateway with the token of one caller: `async with Client(address, token) as client`.

    `tasks runs approvals events tools state agents audit system projects` wrap the generated stubs: await a unary
    method, iterate a streaming one; other attributes of grpc call objects are not available. Each call sends the token,
    has a deadline of 30 s unless `timeout` is given, and raises `ApiError`.

    `address` may be several, separated by commas; a call goes to the next one if the gateway is UNAVAILABLE. Unary
    calls are repeated then, as `retry` allows (by default for ten seconds, within their deadline). Calls that change
    something get a `request_id` unless they have one, so they take effect once.
    """

    tasks: "TaskServiceAsyncStub"
    runs: "RunServiceAsyncStub"
    approvals: "ApprovalServiceAsyncStub"
    events: "EventServiceAsyncStub"
    tools: "ToolServiceAsyncStub"
    state: "StateServiceAsyncStub"
    agents: "AgentServiceAsyncStub"
    audit: "AuditServiceAsyncStub"
    system: "SystemServiceAsyncStub"
    projects: "ProjectServiceAsyncStub"

    def __init__(
        self, address: str = DEFAULT_ADDRESS, token: str = "", *, retry: RetryPolicy = CALL_RETRY_POLICY
    ) -> None:
        self._addresses = Addresses(address)
        accepted = (("ordinaut-max-response-bytes", str(MAX_RESPONSE_BYTES)),)
        self._metadata = (*accepted, ("authorization", f"Bearer {token}")) if token else accepted
        self._retry = retry
        self._channels: list[grpc.aio.Channel] = []

    @classmethod
    def from_env(cls) -> Self:
        """Creates a client for ORDINAUT_ADDRESS (default 127.0.0.1:50051) with ORDINAUT_TOKEN."""
        return cls(os.environ.get("ORDINAUT_ADDRESS") or DEFAULT_ADDRESS, os.environ.get("ORDINAUT_TOKEN", ""))

    async def __aenter__(self) -> Self:
        """Opens a channel to each address, which connects on the first call and reconnects automatically."""
        self._channels = [open_channel(address) for address in self._addresses.all]
        self.tasks = cast("TaskServiceAsyncStub", self._methods(tasks_grpc.TaskServiceStub))
        self.runs = cast("RunServiceAsyncStub", self._methods(runs_grpc.RunServiceStub))
        self.approvals = cast("ApprovalServiceAsyncStub", self._methods(approvals_grpc.ApprovalServiceStub))
        self.events = cast("EventServiceAsyncStub", self._methods(events_grpc.EventServiceStub))
        self.tools = cast("ToolServiceAsyncStub", self._methods(tools_grpc.ToolServiceStub))
        self.state = cast("StateServiceAsyncStub", self._methods(state_grpc.StateServiceStub))
        self.agents = cast("AgentServiceAsyncStub", self._methods(agents_grpc.AgentServiceStub))
        self.audit = cast("AuditServiceAsyncStub", self._methods(audit_grpc.AuditServiceStub))
        self.system = cast("SystemServiceAsyncStub", self._methods(system_grpc.SystemServiceStub))
        self.projects = cast("ProjectServiceAsyncStub", self._methods(projects_grpc.ProjectServiceStub))
        return self

    def _methods(self, stub: Any) -> Methods:
        return Methods([stub(channel) for channel in self._channels], self._metadata, self._addresses, self._retry)

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the channels and cancels active calls."""
        for channel in self._channels:
            await channel.close()

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
        policy = retry or RetryPolicy()
        publish: Any = self.events.PublishEvent
        published: Event = await publish(
            PublishEventRequest(event=event), retry=policy, timeout=max(policy.give_up_after, DEADLINE_SECONDS)
        )
        return published

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
