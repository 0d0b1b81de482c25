"""The data of one person are erased from a project: everything that mentions them, and nothing else."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf import json_format

from gateway.authentication import authenticator
from ordinaut.store.projects.erasure import Subject
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.project_service_pb2 import EraseSubjectRequest, EraseSubjectResponse
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CancelRunRequest, CreateRunRequest, GetRunRequest, RetryRunRequest
from ordinaut.v1.state_service_pb2 import ListStateEntriesRequest, PutStateEntryRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    finished,
    gateway_system,
    refusal,
    working,
)

ANN = "ann@example.org"
ECHO = {"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {"text": "${params.text}"}}]}


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started, working(started, database_url):
        yield started


async def erased(caller: Caller, subject: str = ANN, **fields: Any) -> EraseSubjectResponse:
    """All calls together."""
    total, request = EraseSubjectResponse(), EraseSubjectRequest(subject=subject, **fields)
    while True:
        response = await caller.projects.EraseSubject(request)
        total.in_use.extend(response.in_use)
        for kind, count in response.erased.items():
            total.erased[kind] += count
        if not response.next_page_token:
            return total
        request.page_token = response.next_page_token


async def put(caller: Caller, name: str, value: Any) -> None:
    entry = {"entry": {"name": f"state/{name}", "value": value}}
    await caller.state.PutStateEntry(json_format.ParseDict(entry, PutStateEntryRequest()))


async def a_run(caller: Caller, text: str, *, live: bool = False, **fields: Any) -> Run:
    document = {"pipeline": ECHO, "params": {"text": text, "name": "Ann Smith"}, **fields}
    if live:
        document["start_time"] = "2099-01-01T00:00:00Z"
    run: Run = await caller.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
    return run if live else await finished(caller, run.name)


async def publish(system: GatewaySystem, caller: Caller, event: dict[str, Any]) -> None:
    await caller.events.PublishEvent(
        PublishEventRequest(event=json_format.ParseDict({"topic": "a.b", **event}, Event()))
    )
    async with system.database.connection() as connection:  # as relay and matcher would
        await connection.execute("UPDATE outbox SET position = 1000 + id WHERE position IS NULL")
        await connection.execute("UPDATE position SET value = 1000000 WHERE name = 'matcher'")


async def leftovers(system: GatewaySystem, text: str) -> list[str]:
    """The tables that still have the text."""
    async with system.database.connection() as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        query = 'SELECT count(*) FROM "{}" AS x WHERE strpos(lower(x::text), lower($1)) > 0'
        return [table for (table,) in tables if await connection.fetchval(query.format(table), text)]


async def test_every_place_is_erased_and_nothing_else(system: GatewaySystem) -> None:
    """Other texts of the same records go too: they are about the same person."""
    admin = system.admin
    mentioned = await a_run(admin, f"Dear ANN@example.org,\nhello\n{ANN}")
    other = await a_run(admin, "joann@example.org")
    await put(admin, f"people/{ANN}", {"town": "Cluj"})
    await put(admin, "people/by-number", {"mail": ANN, "town": "Cluj"})
    await put(admin, "people/joann", {"mail": "joann@example.org"})
    for event in ({"subject": ANN}, {"data": {"to": [f"<{ANN}>"], "town": "Cluj"}}, {"id": ANN}, {"data": {"n": 1}}):
        await publish(system, admin, event)
    counted = await erased(admin, validate_only=True)
    assert dict(counted.erased) == {"runs": 1, "state_entries": 2, "events": 3, "event_ids": 1}
    assert await leftovers(system, "Dear")
    assert dict((await erased(admin)).erased) == dict(counted.erased)
    assert [await leftovers(system, text) for text in ("Cluj", "Dear")] == [[], []]
    assert dict((await erased(admin)).erased) == {}
    run = await admin.runs.GetRun(GetRunRequest(name=mentioned.name))
    assert (run.state, len(run.params.fields), run.HasField("output")) == (Run.SUCCEEDED, 0, False)
    assert [(step.path, step.HasField("output")) for step in run.steps] == [("a", False)]
    kept = await admin.runs.GetRun(GetRunRequest(name=other.name))
    assert kept.params == other.params
    entries = (await admin.state.ListStateEntries(ListStateEntriesRequest(parent="state/people"))).entries
    assert [entry.name for entry in entries] == ["state/people/joann"]
    async with system.database.connection() as connection:
        events = await connection.fetch(
            "SELECT e ->> 'topic', e -> 'data' FROM outbox, json_array_elements(events) AS e"
            " WHERE e ->> 'topic' = 'a.b' ORDER BY id"
        )
        assert [tuple(row) for row in events] == [("a.b", "{}")] * 3 + [("a.b", '{"n": 1}')]
        told = await connection.fetch(
            "SELECT e -> 'data' ->> 'kind' FROM outbox, json_array_elements(events) AS e"
            " WHERE e ->> 'topic' = 'ordinaut.project.subject_erased' ORDER BY id"
        )
        assert [row[0] for row in told] == ["runs", "state_entries", "events", "event_ids"]


async def test_live_runs_and_definitions_are_named_and_stay(system: GatewaySystem) -> None:
    admin = system.admin
    live = await a_run(admin, ANN, live=True)
    task = json_format.ParseDict({"pipeline": ECHO, "params": {"text": ANN}}, Task())
    await admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="letters"))
    await finished(admin, (await admin.tasks.RunTask(RunTaskRequest(name="tasks/letters"))).name)
    found = await erased(admin)
    assert list(found.in_use) == [live.name, "tasks/letters"]
    assert (await admin.runs.GetRun(GetRunRequest(name=live.name))).params.fields["text"].string_value == ANN
    await admin.runs.CancelRun(CancelRunRequest(name=live.name))
    assert dict((await erased(admin)).erased) == {"runs": 1}


async def test_an_erased_run_is_not_retried(system: GatewaySystem) -> None:
    """A retry would act without its inputs."""
    ended = await a_run(system.admin, ANN, live=True)
    await system.admin.runs.CancelRun(CancelRunRequest(name=ended.name))
    await erased(system.admin)
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=ended.name)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")


async def test_documents_of_runs_without_a_task_are_erased(system: GatewaySystem) -> None:
    pipeline = {"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {"to": ANN}}]}
    run = await a_run(system.admin, "x", pipeline=pipeline)
    assert dict((await erased(system.admin)).erased) == {"runs": 1, "task_versions": 1}
    assert (await system.admin.runs.GetRun(GetRunRequest(name=run.name))).state == Run.SUCCEEDED
    assert await leftovers(system, ANN) == []


async def test_a_stored_response_is_erased(system: GatewaySystem) -> None:
    request = json_format.ParseDict({"entry": {"name": f"state/a/{ANN}", "value": 1}}, PutStateEntryRequest())
    request.request_id = "once"
    await system.admin.state.PutStateEntry(request)
    assert dict((await erased(system.admin)).erased) == {"state_entries": 1, "responses": 1}
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT answer FROM request_log WHERE request_id = 'once'") is None


async def test_another_project_is_not_touched_nor_counted(system: GatewaySystem) -> None:
    other = await system.project("elsewhere")
    await put(other, "people/x", {"mail": ANN})
    await publish(system, other, {"subject": ANN})
    await a_run(other, ANN)
    assert await erased(system.admin) == EraseSubjectResponse()
    assert dict((await erased(other, validate_only=True)).erased) == {"runs": 1, "state_entries": 1, "events": 1}


async def test_small_pages_find_the_same(system: GatewaySystem) -> None:
    for number in range(5):
        await put(system.admin, f"people/{number}", {"mail": ANN if number % 2 else "x"})
        await a_run(system.admin, ANN)
    assert dict((await erased(system.admin, page_size=1)).erased) == {"runs": 5, "state_entries": 2}


async def test_only_admins_erase(system: GatewaySystem) -> None:
    caller = await system.agent("worker", "state:write", "runs:write", "tasks:write", "agents:write")
    refused = await refusal(caller.projects.EraseSubject(EraseSubjectRequest(subject=ANN)))
    assert (refused.reason, refused.metadata["scopes"]) == ("MISSING_SCOPE", "admin")


@pytest.mark.parametrize("subject", ["", "ab", "x" * 201, 'a"b', "a\\b", "a\nb", "%%%", "@example", "ann@"])
async def test_an_identifier_that_would_match_too_much_is_refused(system: GatewaySystem, subject: str) -> None:
    refused = await refusal(system.admin.projects.EraseSubject(EraseSubjectRequest(subject=subject)))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["subject"])


async def test_a_made_up_page_token_is_refused(system: GatewaySystem) -> None:
    request = EraseSubjectRequest(subject=ANN, page_token="6 x")
    assert (await refusal(system.admin.projects.EraseSubject(request))).reason == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("subject", "text", "found"),
    [
        (ANN, '{"to": "ann@example.org"}', True),
        (ANN, '{"to": "Ann <ANN@EXAMPLE.ORG>"}', True),
        (ANN, '{"text": "Hi,\\nann@example.org"}', True),
        (ANN, '{"text": "Hi,\\u000bann@example.org"}', True),
        (ANN, '{"text": "write to ann@example.org."}', True),
        (ANN, '{"to": "joann@example.org"}', False),
        (ANN, '{"to": "j.ann@example.org"}', False),
        (ANN, '{"to": "ann@example.org.uk"}', False),
        (ANN, '{"to": "ann@example-org"}', False),
        ("4711", '{"customer": 4711}', True),
        ("4711", '{"customer": 47110}', False),
        ("+40 721 000 001", '{"phone": "+40 721 000 001"}', True),
        ("Ștefan Țară", '{"name": "ștefan țară"}', True),
        ("Ștefan Țară", '{"name": "S\u0326tefan T\u0326ara\u0306"}', True),
        ("a.b(c", '{"x": "a.b(c"}', True),
        ("a.b(c", '{"x": "aXb(c"}', False),
        ("100_001", '{"x": "100x001"}', False),
    ],
)
async def test_an_identifier_is_a_whole_word(system: GatewaySystem, subject: str, text: str, found: bool) -> None:
    wanted = Subject.of(subject)
    async with system.database.connection() as connection:
        query = "SELECT mentions(($1::jsonb)::text, $2, $3)"
        assert await connection.fetchval(query, text, list(wanted.forms), wanted.pattern) is found


async def test_an_approval_keeps_who_decided(system: GatewaySystem) -> None:
    async with system.database.connection() as connection:
        await connection.execute(
            "INSERT INTO approval (id, project, run, step, task, task_name, owner, depth, tool, hash, message, data,"
            " choices, editable, assignees, allow_self, state, choice, agent, comment, create_time)"
            " VALUES (new_id(), 'default', $1, 's', $1, 't', 'agents/a', 0, '', '', 'Pay Ann?', $2, '{yes}', '{}',"
            " '{}', false, 'APPROVED', 'yes', 'agents/boss', 'she is nice', clock_now())",
            UUID(int=7),
            f'{{"to": "{ANN}"}}',
        )
        assert dict((await erased(system.admin)).erased) == {"approvals": 1}
        row = await connection.fetchrow("SELECT message, data, comment, state, choice, agent FROM approval")
        assert row is not None
        assert tuple(row) == ("[erased]", None, "", "APPROVED", "yes", "agents/boss")
