"""DraftTask without servers: the gateway's code, with the checks of the scheduler and of the engine in this process."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from benchmarks.drafts.tools import definitions
from gateway.authentication.caller import Caller
from gateway.definitions.references import tool_uses
from gateway.definitions.validation import TaskValidator
from gateway.drafts.habits.context import ToolInfo
from gateway.tasks.draft import TaskDraft, _info
from ordinaut.client import ApiError
from ordinaut.errors import OrdinautError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidatePipelineRequest, ValidatePipelineResponse
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest, ValidateScheduleResponse
from ordinaut.store.tool import NamedTools
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse
from pipeline_engine.validation.validate import validate_pipeline
from scheduler.service import SchedulerService

SHARED = ("weather.forecast", "mail.send", "calendar.list_events")


class _Scheduler:
    def __init__(self) -> None:
        self._service = SchedulerService()

    async def validate(self, request: ValidateScheduleRequest, **_limits: float) -> ValidateScheduleResponse:
        return await self._service.ValidateSchedule(request, None)


class _Engines:
    async def validate_pipeline(self, request: ValidatePipelineRequest) -> ValidatePipelineResponse:
        return validate_pipeline(request)


class _Validator(TaskValidator):
    def __init__(self, names: list[str]) -> None:
        unused: Any = None
        scheduler: Any = _Scheduler()
        engines: Any = _Engines()
        super().__init__(unused, scheduler, engines)
        self._names = names

    async def _tools(self, project: str, document: Any) -> NamedTools:
        used = [use.tool for use in tool_uses(document) if use.tool in self._names]
        texts = [definitions()[name].decode() for name in dict.fromkeys(used)]
        return NamedTools(datetime.now(UTC), self._names, texts)


class Drafting(TaskDraft):
    """DraftTask for an admin who may use these tools and those that are built in."""

    def __init__(self, *, shared: bool = False) -> None:
        names = [name for name in definitions() if name in SHARED or name.startswith("orchestrator.") or not shared]
        unused: Any = None
        super().__init__(unused, _Validator(sorted(names)))
        self._names = sorted(names)

    async def _tools(self, caller: Caller) -> dict[str, ToolInfo]:
        return {name: _info(name, definitions()[name].decode()) for name in self._names}

    async def ask(self, request: DraftTaskRequest) -> DraftTaskResponse:
        """Calls DraftTask.

        Raises:
            ApiError: as a client gets it.
        """
        try:
            return await self.draft(request, Caller("default", "admin", frozenset({"admin"})))
        except OrdinautError as error:
            raise ApiError(type(error).__name__, str(error)) from error

    def drafted(self, text: str, **more: Any) -> DraftTaskResponse:
        """Calls DraftTask and waits for the response."""
        return asyncio.run(self.ask(DraftTaskRequest(text=text, **more)))
