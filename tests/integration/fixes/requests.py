"""Valid requests of every method that answers with fixes; mistakes are added to them."""

from dataclasses import dataclass
from typing import Any

STEPS: list[Any] = [
    {"id": "first", "uses": "orchestrator.set", "with": {"x": "${params.n}", "y": "a"}, "timeout": "5s", "retry": 2},
    {
        "id": "events", "uses": "calendar.list_events", "if": "steps.first.x > 1", "save_as": "agenda",
        "with": {"start": "${now}", "limit": 5, "order": "newest", "labels": ["a"], "all": False},
        "on_error": "continue",
    },
    {
        "id": "each", "foreach": "${params.cities}", "max_parallel": 2, "save_as": "weather",
        "do": [{"id": "w", "uses": "weather.forecast", "with": {"city": "${item}"}}],
    },
    {"id": "both", "branches": {
        "left": [{"id": "l", "uses": "orchestrator.set", "with": {"v": "${steps.first.x}"}}],
        "right": [{"id": "r", "uses": "orchestrator.set", "with": {"v": "${params.city}"}}],
    }},
    {"id": "poll", "until": "steps.check.done", "every": "10s", "timeout": "5m",
     "do": [{"id": "check", "uses": "orchestrator.set", "with": {"done": True}}]},
    {"id": "wait", "uses": "orchestrator.wait", "with": {"for": "30s"}},
    {"id": "ask", "uses": "calendar.list_events", "with": {"start": "${steps.first.y}"},
     "needs_approval": {"message": "Go on?", "assignees": ["admin"], "expires_in": "1d"}},
]  # fmt: skip
PIPELINE: dict[str, Any] = {
    "version": 1,
    "steps": STEPS,
    "output": {"x": "${steps.first.x}", "w": "${steps.weather}"},
    "on_error": [{"id": "h", "uses": "orchestrator.set", "with": {"e": "${error.code}"}}],
}
PARAMS = {"n": 3, "city": "Iasi", "cities": ["Iasi", "Cluj"]}
SCHEDULE: dict[str, Any] = {
    "triggers": [
        {"id": "daily", "cron": "0 9 * * 1-5"},
        {"id": "often", "interval": "3600s"},
        {"id": "rule", "rrule": "DTSTART;TZID=Europe/Bucharest:20260601T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"},
        {"id": "orders", "event": {"topic": "orders.*", "when": "data.total > 100"}},
    ],
    "time_zone": "Europe/Bucharest",
    "jitter": "30s",
    "exclusions": [{"date": "2026-12-25"}],
    "catch_up": {"policy": "LATEST"},
}
TASK: dict[str, Any] = {
    "display_name": "Daily news",
    "labels": {"team": "home"},
    "schedule": SCHEDULE,
    "pipeline": PIPELINE,
    "params": PARAMS,
    "run_policy": {"priority": 5, "overlap": {"policy": "SKIP"}},
}
TOOL: dict[str, Any] = {
    "name": "tools/news.read",
    "effect": "READ",
    "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}},
    "http": {"method": "POST", "url": "http://127.0.0.1:1/news"},
}


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its REST verb and path, the field that is the body (empty: the whole request), and a valid body."""

    name: str
    verb: str
    path: str
    service: str
    request: str
    wrapper: str
    body: dict[str, Any]


METHODS = (
    Method("ValidateTask", "POST", "/v1/tasks:validate", "tasks", "ValidateTaskRequest", "task", TASK),
    Method("CreateTask", "POST", "/v1/tasks", "tasks", "CreateTaskRequest", "task", TASK),
    Method(
        "BatchCreateTasks", "POST", "/v1/tasks:batchCreate", "tasks", "BatchCreateTasksRequest", "",
        {"requests": [{"task": TASK}, {"task": {"pipeline": {"steps": STEPS[:2]}, "params": PARAMS}}]},
    ),
    Method("UpdateTask", "PATCH", "/v1/tasks/stored", "tasks", "UpdateTaskRequest", "task",
           {"schedule": SCHEDULE, "pipeline": PIPELINE}),
    Method("PreviewSchedule", "POST", "/v1/schedules:preview", "tasks", "PreviewScheduleRequest", "",
           {"schedule": SCHEDULE, "count": 3}),
    Method("ExplainSchedule", "POST", "/v1/schedules:explain", "tasks", "ExplainScheduleRequest", "",
           {"schedule": SCHEDULE}),
    Method("SimulateTask", "POST", "/v1/tasks:simulate", "tasks", "SimulateTaskRequest", "", {"task": TASK}),
    Method("SimulateRun", "POST", "/v1/runs:simulate", "runs", "SimulateRunRequest", "",
           {"pipeline": PIPELINE, "params": PARAMS}),
    Method("CreateRun", "POST", "/v1/runs", "runs", "CreateRunRequest", "",
           {"pipeline": {"steps": STEPS[:2]}, "params": PARAMS, "priority": 5}),
    Method("RunTask", "POST", "/v1/tasks/typed:run", "tasks", "RunTaskRequest", "",
           {"params": {"n": 3, "city": "Iasi", "mode": "fast", "flags": ["a"]}, "priority": 5}),
    Method("CreateTool", "POST", "/v1/tools", "tools", "CreateToolRequest", "tool", TOOL),
    Method("CallTool", "POST", "/v1/tools/calendar.list_events:call", "tools", "CallToolRequest", "",
           {"input": {"start": "2026-01-01", "limit": 2, "order": "newest", "labels": ["a"], "all": True}}),
    Method("PublishEvent", "POST", "/v1/events", "events", "PublishEventRequest", "event",
           {"topic": "orders.new", "data": {"total": 5}}),
)  # fmt: skip
