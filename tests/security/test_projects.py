"""Projects: who may manage them, and that a deleted one leaves nothing behind and takes nothing along."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.authentication import authenticator
from gateway.authentication.authenticator import OPERATOR, SELF
from gateway.services import DESCRIPTORS
from ordinaut.store import identity
from ordinaut.store.hints import Hints
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.options_pb2 import scope as scope_option
from ordinaut.v1.project_pb2 import Project
from ordinaut.v1.project_service_pb2 import (
    CreateProjectRequest,
    DeleteProjectRequest,
    ExportProjectRequest,
    GetProjectRequest,
    ListProjectsRequest,
)
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from scheduler.maintenance.remove_projects import RemoveProjects
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    finished,
    gateway_system,
    refusal,
    working,
)
from tests.security.methods import STUB_OF

METHODS = [method for service in DESCRIPTORS for method in service.methods]
STEP = {"uses": "orchestrator.set", "with": {"text": "hello"}}
PIPELINE = {"version": 1, "steps": [{"id": "a", **STEP}]}
TOOL = {
    "http": {"method": "POST", "url": "https://a.example/", "auth": {"bearer": {"secret": "key"}}},
    "effect": "READ",
}


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started, working(started, database_url):
        yield started


async def created(operator: Caller, name: str) -> Project:
    project: Project = await operator.projects.CreateProject(CreateProjectRequest(project_id=name))
    return project


async def filled(system: GatewaySystem, token: str) -> Caller:
    """One of everything that a project may have, with an ended and a live run."""
    admin = system.caller(token)
    await admin.tools.CreateTool(json_format.ParseDict({"tool": TOOL, "tool_id": "t.x"}, CreateToolRequest()))
    task = {
        "pipeline": PIPELINE,
        "schedule": {"triggers": [{"cron": "0 0 * * *"}, {"event": {"topic": "a.b"}}], "time_zone": "UTC"},
    }
    await admin.tasks.CreateTask(
        CreateTaskRequest(task=json_format.ParseDict(task, Task()), task_id="t", request_id="r")
    )
    run = await admin.tasks.RunTask(RunTaskRequest(name="tasks/t"))
    await finished(admin, run.name)
    later = {"pipeline": PIPELINE, "start_time": "2099-01-01T00:00:00Z"}
    await admin.runs.CreateRun(json_format.ParseDict(later, CreateRunRequest()))
    entry = {"entry": {"name": "state/ns/k", "value": {"text": "x"}}}
    await admin.state.PutStateEntry(json_format.ParseDict(entry, PutStateEntryRequest()))
    await admin.events.PublishEvent(PublishEventRequest(event=Event(topic="a.c", id="e1")))
    return admin


async def exported(operator: Caller, name: str) -> list[dict[str, Any]]:
    request = ExportProjectRequest(name=f"projects/{name}")
    rows = [json_format.MessageToDict(row) async for row in operator.projects.ExportProject(request)]
    return sorted(rows, key=json.dumps)


async def delete_now(system: GatewaySystem, operator: Caller, name: str) -> None:
    """Asks for the deletion and lets the scheduler work until nothing is left to do, as if time had passed."""
    deleting = await operator.projects.DeleteProject(DeleteProjectRequest(name=f"projects/{name}"))
    assert (deleting.state, deleting.HasField("delete_time")) == (Project.DELETING, True)
    await execute(system, "UPDATE position SET value = (SELECT max(id) + 1000000 FROM outbox) WHERE name = 'matcher'")
    await execute(
        system,
        "WITH o AS (SELECT id, row_number() OVER (ORDER BY id) AS place FROM outbox WHERE position IS NULL)"
        " UPDATE outbox SET position = 1000 + o.place FROM o WHERE o.id = outbox.id",
    )
    removal = RemoveProjects(system.database, Hints(system.database))
    for minutes in (0, 7):
        await execute(
            system,
            "UPDATE project SET delete_time = clock_now() - $2 * interval '1 minute' WHERE name = $1",
            name,
            minutes,
        )
        for _ in range(100):
            await execute(system, "UPDATE outbox SET position = id + 5000 WHERE position IS NULL")
            if not await removal.run_once():
                break


async def execute(system: GatewaySystem, statement: str, *arguments: Any) -> None:
    async with system.database.connection() as connection:
        await connection.execute(statement, *arguments)


async def rows_with(system: GatewaySystem, texts: list[str]) -> dict[str, int]:
    """The tables that have rows with one of the texts."""
    found = {}
    async with system.database.connection() as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        for (table,) in tables:
            query = f'SELECT count(*) FROM "{table}" AS x WHERE x::text LIKE ANY($1)'
            if count := await connection.fetchval(query, [f"%{text}%" for text in texts]):
                found[table] = count
    return found


async def operators_records(system: GatewaySystem, name: str) -> list[str]:
    """What operators did to a project: this stays, in the audit log of the reserved project."""
    async with system.database.connection() as connection:
        query = "SELECT body::jsonb ->> 'method' FROM audit WHERE project = '_' AND resource = $1 ORDER BY id"
        return [row[0] for row in await connection.fetch(query, f"projects/{name}")]


async def test_a_new_project_is_empty_and_its_token_is_given_once(system: GatewaySystem) -> None:
    operator = await system.operator()
    request = CreateProjectRequest(project_id="doomed", request_id="once")
    project = await operator.projects.CreateProject(request)
    assert (await refusal(operator.projects.CreateProject(request))).reason == "SECRET_NOT_KEPT"
    who = await system.caller(project.admin_token).agents.WhoAmI(WhoAmIRequest())
    assert (who.project, list(who.scopes)) == ("doomed", ["admin"])
    listed = (await operator.projects.ListProjects(ListProjectsRequest(page_size=1))).projects
    assert [(item.name, item.admin_token) for item in listed] == [("projects/default", "")]
    assert (await operator.projects.GetProject(GetProjectRequest(name="projects/doomed"))).state == Project.ACTIVE
    assert (
        await refusal(operator.projects.CreateProject(CreateProjectRequest(project_id="doomed")))
    ).code == "ALREADY_EXISTS"


@pytest.mark.parametrize("name", ["projects/_", "projects/nobody", "projects/"])
async def test_the_reserved_project_is_none(system: GatewaySystem, name: str) -> None:
    operator = await system.operator()
    for call in (
        operator.projects.GetProject(GetProjectRequest(name=name)),
        operator.projects.DeleteProject(DeleteProjectRequest(name=name)),
        operator.projects.ExportProject(ExportProjectRequest(name=name)),
    ):
        assert (await refusal(call)).code in {"NOT_FOUND", "INVALID_ARGUMENT"}


async def test_only_operators_manage_projects_and_they_do_nothing_else(system: GatewaySystem) -> None:
    """A token of the reserved project cannot change the tools of all projects."""
    operator = await system.operator()
    for method in METHODS:
        scope = method.GetOptions().Extensions[scope_option]
        if scope != SELF and not scope.startswith(("agents:", "audit:")):
            caller = system.admin if scope == OPERATOR else operator
            refused = await refusal(called(caller, method))
            assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE"), method.full_name


async def test_an_operator_with_a_narrow_token_is_none(system: GatewaySystem) -> None:
    await system.operator()
    async with system.database.transaction() as connection:
        token = identity.NewToken.make()
        await identity.create_token(
            connection, project="_", agent="admin", token=token, scopes=["agents:read"], expire_time=None
        )
    narrow = system.caller(token.text)
    assert (await refusal(narrow.projects.ListProjects(ListProjectsRequest()))).reason == "MISSING_SCOPE"


def called(caller: Caller, method: MethodDescriptor) -> Any:
    stub = getattr(caller, STUB_OF[method.containing_service.name])
    return getattr(stub, method.name)(GetMessageClass(method.input_type)())


async def test_a_deleted_project_leaves_nothing_and_takes_nothing_along(system: GatewaySystem) -> None:
    operator = await system.operator()
    tokens = {name: (await created(operator, name)).admin_token for name in ("doomed", "other")}
    for token in tokens.values():
        await filled(system, token)
    async with system.database.connection() as connection:
        uids = [
            str(row[0])
            for row in await connection.fetch(
                "SELECT uid FROM task WHERE project = 'doomed' UNION SELECT id FROM run WHERE project = 'doomed'"
                " UNION SELECT id FROM due_work WHERE project = 'doomed'"
            )
        ]
    assert len(uids) == 4
    before = [row for row in await exported(operator, "other") if row["table"] not in {"outbox", "agent_token"}]
    await delete_now(system, operator, "doomed")
    assert await rows_with(system, ["doomed", *uids]) == {"audit": 2}
    assert await operators_records(system, "doomed") == ["CreateProject", "DeleteProject"]
    after = [row for row in await exported(operator, "other") if row["table"] not in {"outbox", "agent_token"}]
    assert after == before
    assert (await refusal(system.caller(tokens["doomed"]).agents.WhoAmI(WhoAmIRequest()))).reason == "TOKEN_INVALID"


async def test_a_name_that_is_used_again_inherits_nothing(system: GatewaySystem) -> None:
    """Neither rows nor what workers remember: the uids of hidden tasks and the hashes of documents are the same."""
    operator = await system.operator()
    await filled(system, (await created(operator, "doomed")).admin_token)
    async with system.database.connection() as connection:
        revision = await connection.fetchval("SELECT revision FROM project WHERE name = 'doomed'")
    await delete_now(system, operator, "doomed")
    again = await created(operator, "doomed")
    tables = sorted(row["table"] for row in await exported(operator, "doomed"))
    assert tables == ["agent", "agent_token", "project"]
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT revision FROM project WHERE name = 'doomed'") > revision
    await filled(system, again.admin_token)


async def test_the_token_ends_with_the_request_and_so_does_what_it_makes(system: GatewaySystem) -> None:
    """A token that a call has made while the deletion began is of no use either."""
    operator = await system.operator()
    token = (await created(operator, "doomed")).admin_token
    await operator.projects.DeleteProject(DeleteProjectRequest(name="projects/doomed"))
    async with system.database.transaction() as connection:
        late = identity.NewToken.make()
        await identity.create_token(
            connection, project="doomed", agent="admin", token=late, scopes=[], expire_time=None
        )
    for text in (token, late.text):
        assert (await refusal(system.caller(text).agents.WhoAmI(WhoAmIRequest()))).reason == "TOKEN_INVALID"


async def test_a_run_that_a_worker_holds_has_its_time_to_end(system: GatewaySystem) -> None:
    """Its row stays while it may still run `finally`, and goes when it does not come back."""
    operator = await system.operator()
    await filled(system, (await created(operator, "doomed")).admin_token)
    held, lease = uuid4(), uuid4()
    await execute(
        system,
        "INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root,"
        " params, state, due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time,"
        " lease_owner)"
        " SELECT $1, project, uid, name, version, owner, 'MANUAL', '', 'x', 'held', '{}', 'LEASED', now(), now(), 5,"
        " false, 3, '1 day', 0, now(), $2 FROM task WHERE project = 'doomed' AND name = 't'",
        held,
        lease,
    )
    await delete_now(system, operator, "doomed")
    async with system.database.connection() as connection:
        rows = await connection.fetch("SELECT id, cancel_requested FROM due_work WHERE project = 'doomed'")
        assert [tuple(row) for row in rows] == [(held, True)]
        assert await connection.fetchval("SELECT count(*) FROM agent WHERE project = 'doomed'") == 1
    await execute(system, "UPDATE project SET delete_time = clock_now() - interval '16 minutes' WHERE name = 'doomed'")
    removal = RemoveProjects(system.database, Hints(system.database))
    for _ in range(100):
        await execute(system, "UPDATE outbox SET position = id + 5000 WHERE position IS NULL")
        if not await removal.run_once():
            break
    assert await rows_with(system, [str(held), "doomed"]) == {"audit": 2}
    assert await operators_records(system, "doomed") == ["CreateProject", "DeleteProject"]


async def test_an_export_has_everything_but_secrets(system: GatewaySystem) -> None:
    operator = await system.operator()
    project = await created(operator, "doomed")
    admin = await filled(system, project.admin_token)
    sealed = "[sensitive:kid-seven:AbC_-9]"
    await execute(system, "UPDATE step_run SET output = to_jsonb($1::text)", f"Bearer {sealed}")
    rows = await exported(operator, "doomed")
    tables = {row["table"] for row in rows}
    assert tables >= {
        "project", "agent", "agent_token", "tool", "task", "task_version", "schedule_cursor", "event_trigger",
        "occurrence", "due_work", "run", "step_run", "state_entry", "event", "outbox", "audit",
    }  # fmt: skip
    text = json.dumps(rows)
    assert "secret_hash" not in text
    assert admin.token.split("_")[2] not in text
    assert "kid-seven" not in text
    assert "Bearer [sensitive]" in text
    versions = [row["row"]["version"] for row in rows if row["table"] == "task_version"]
    async with system.database.connection() as connection:
        query = "SELECT v.version FROM task_version AS v JOIN task AS t ON t.uid = v.task WHERE t.project = 'doomed'"
        stored = {int(row[0]) for row in await connection.fetch(query)}
    assert {int(version) for version in versions} == stored


async def test_every_table_is_exported_or_named(system: GatewaySystem) -> None:
    """A new table is decided on: exported, or not part of a project."""
    from ordinaut.store.projects.export import TABLES  # noqa: PLC0415 - beside its only use

    async with system.database.connection() as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        )
    not_in_projects = {
        "audit_todo",  # the records of `audit` without a row in `audit_seal`
        "deleted_agent",
        "installation",
        "lease",
        "over_quota",  # counted every few seconds
        "match_todo",  # conditions that are still to be evaluated
        "position",
        "request_log",
        "schema_migration",
        "migration",
        "schema_version",
    }
    assert {row[0] for row in tables} - set(TABLES) <= not_in_projects
