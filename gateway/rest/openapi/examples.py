"""Example bodies; the tests send each of them."""

from collections.abc import Mapping
from typing import Any

BRIEFING = {
    "display_name": "Morning briefing",
    "schedule": {"triggers": [{"cron": "30 8 * * mon-fri"}], "time_zone": "Europe/Berlin"},
    "pipeline": {
        "steps": [
            {"id": "seen", "uses": "orchestrator.get_state", "with": {"namespace": "briefing", "key": "last"}},
            {"id": "tell", "uses": "orchestrator.emit", "with": {"topic": "briefing.due", "data": "${steps.seen}"}},
        ],
        "output": {"sent": True},
    },
    "run_policy": {"run_timeout": "10m", "retry": {"max": 3, "delay": "2s"}},
}
ON_EVENT = {
    "display_name": "Greet new users",
    "schedule": {"triggers": [{"event": {"topic": "user.created", "when": "data.plan == 'pro'"}}]},
    "pipeline": {
        "steps": [
            {
                "id": "remember",
                "uses": "orchestrator.put_state",
                "with": {"namespace": "users", "key": "${event.data.id}", "value": "${event.data}"},
            }
        ]
    },
}
FORECAST = {
    "description": "Weather of the next hours",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "effect": "READ",
    "timeouts": {"run": "10s"},
    "http": {"method": "POST", "url": "https://weather.example.com/forecast"},
}
HELLO = {"id": "hello", "uses": "orchestrator.set", "with": {"text": "${params.greeting}"}}
GREETING = {"pipeline": {"steps": [HELLO]}}
GREETINGS = [{"task": GREETING, "task_id": f"greet-{word}"} for word in ("ann", "bo")]
DOORS = [{"event": {"topic": f"door.{what}"}} for what in ("opened", "closed")]
LAST_FRIDAY = {"triggers": [{"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0"}], "time_zone": "Europe/Berlin"}
OUTAGE = {"start_time": "2026-11-02T07:00:00Z", "end_time": "2026-11-02T09:00:00Z"}
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "CreateTask": {"by the clock": BRIEFING, "by an event": ON_EVENT},
    "BatchCreateTasks": {"two": {"requests": GREETINGS}},
    "ValidateTask": {"by the clock": BRIEFING},
    "PreviewSchedule": {"last Friday": {"schedule": LAST_FRIDAY, "count": 3}},
    "SimulateTask": {
        "two hours without schedulers": {
            "task": {"schedule": BRIEFING["schedule"]},
            "start_time": "2026-11-01T00:00:00Z",
            "run_durations": ["40s", "5m"],
            "outages": [OUTAGE],
        }
    },
    "ExplainSchedule": {"last Friday": {"schedule": LAST_FRIDAY}},
    "CreateRun": {"at once": {**GREETING, "params": {"greeting": "hello"}}},
    "SimulateRun": {
        "on a mock": {**GREETING, "params": {"greeting": "hello"}, "mocks": [{"step": "hello", "duration": "2s"}]}
    },
    "UpdateTask": {"one field": {"description": "Sent before the first meeting"}},
    "RunTask": {"as it is": {}, "with parameters": {"params": {"city": "Porto"}, "priority": 1}},
    "PauseTask": {"with a reason": {"reason": "the mail server moves"}},
    "ResumeTask": {"as it is": {}},
    "ReplayRun": {"as it was": {}, "as its task is now": {"present_version": True}},
    "CancelRun": {"with a reason": {"reason": "started by mistake"}},
    "PublishEvent": {"a fact": {"topic": "user.created", "id": "u-17", "data": {"id": "17", "plan": "pro"}}},
    "BatchPublishEvents": {"two": {"requests": DOORS}},
    "PutStateEntry": {"a value": {"value": {"count": 3, "seen": ["a", "b"]}}},
    "CreateTool": {"over HTTP": FORECAST},
    "CreateAgent": {"one that reads": {"display_name": "Reporter", "scopes": ["tasks:read", "runs:read"]}},
    "UpdateAgent": {"other scopes": {"scopes": ["tasks:read", "events:publish:door.*"]}},
    "CreateAgentToken": {"narrower than its agent": {"scopes": ["runs:read"]}},
}
