"""`ordinaut whoami` and `ordinaut status`."""

import typer
from google.protobuf.duration_pb2 import Duration

from ordinaut.cli.output import echo, local_time, print_json, print_table
from ordinaut.cli.session import session_of
from ordinaut.client import Client
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.system_service_pb2 import (
    GetStatusRequest,
    GetStatusResponse,
    LateTask,
    ListWorkersRequest,
    ListWorkersResponse,
)

QUOTA_COLUMNS = ("QUOTA", "OF", "USED", "LIMIT")
LATE_COLUMNS = ("LATE", "REASON", "DUE", "DELAY")


def whoami(context: typer.Context) -> None:
    """Print the agent and the scopes of the token."""
    session = session_of(context)
    answer = session.call(lambda client: client.agents.WhoAmI(WhoAmIRequest()))
    if session.as_json:
        print_json(answer)
    else:
        echo(f"{answer.agent.name} in project {answer.project}: {', '.join(answer.scopes)}")


def status(context: typer.Context) -> None:
    """Print component health, queue sizes, delays, workers, the quotas in use, and the tasks that are late."""
    session = session_of(context)

    async def work(client: Client) -> tuple[GetStatusResponse, ListWorkersResponse]:
        return (
            await client.system.GetStatus(GetStatusRequest()),
            await client.system.ListWorkers(ListWorkersRequest()),
        )

    now, workers = session.call(work)
    if session.as_json:
        print_json(now)
        return
    rows = [
        *((name, state) for name, state in sorted(now.components.items())),
        *((f"runs {state}", str(count)) for state, count in sorted(now.due_work.items())),
        ("oldest ready", _seconds(now.oldest_ready_age)),
        ("fire lag", _seconds(now.fire_lag)),
        ("events", f"{now.last_position} published, {now.outbox_backlog} pending"),
        ("workers", str(now.workers) if now.workers else "0: no run starts"),
        *((worker.name, f"{worker.host}, {worker.leased_runs} leased runs") for worker in workers.workers),
    ]
    print_table((f"ORDINAUT {now.version}", ""), rows, "")
    if used := [(each.quota, each.subject, str(each.used), str(each.limit)) for each in now.quotas if each.used]:
        print_table(QUOTA_COLUMNS, used, "")
    if now.late_tasks:
        print_table(LATE_COLUMNS, map(_late, now.late_tasks), "")


def _late(task: LateTask) -> tuple[str, ...]:
    delay = _seconds(task.delay) if task.HasField("delay") else ""
    return task.task, LateTask.Reason.Name(task.reason), local_time(task.due_time), delay


def _seconds(span: Duration) -> str:
    return f"{span.ToTimedelta().total_seconds():.1f} s"
