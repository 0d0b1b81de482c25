"""State entries by revision, and tools that only their owner changes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict, ParseDict

from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import (
    DeleteStateEntryRequest,
    GetStateEntryRequest,
    ListStateEntriesRequest,
    PutStateEntryRequest,
)
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import (
    CreateToolRequest,
    DeleteToolRequest,
    GetToolRequest,
    ListToolsRequest,
    UpdateToolRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, gateway_system, refusal

NAME = "state/notes/a/b.c"


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def put(value: Any, revision: int | None = None, name: str = NAME) -> PutStateEntryRequest:
    entry = ParseDict({"name": name, "value": value}, StateEntry())
    return PutStateEntryRequest(entry=entry, revision=revision)


def a_tool(**fields: Any) -> Tool:
    document = {
        "description": "Tells the weather.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        "effect": "READ",
        "http": {"method": "POST", "url": "https://weather.example.com/forecast"},
        "timeouts": {"run": "5s"},
    }
    return ParseDict(document | fields, Tool())


async def test_values_are_returned_unchanged(system: GatewaySystem) -> None:
    """Every kind of JSON, null included."""
    values: list[Any] = [None, True, 0, -1.5, 2**53 - 1, "", "ü\n", [], {}, {"a": [1, {"b": None}], "": 0}]
    for value in values:
        await system.admin.state.PutStateEntry(put(value))
        entry = await system.admin.state.GetStateEntry(GetStateEntryRequest(name=NAME))
        assert MessageToDict(entry)["value"] == value
        assert entry.HasField("value")


async def test_integers_too_large_for_json_are_sent_as_text(system: GatewaySystem) -> None:
    """They can only come from inside; from outside they are refused, as is what JSON cannot say."""
    async with system.database.connection() as connection:
        await connection.execute(
            "INSERT INTO state_entry (project, namespace, key, value, revision, update_time)"
            " VALUES ('default', 'notes', 'big', '{\"n\": 9007199254740993}', 1, clock_now())"
        )
    entry = await system.admin.state.GetStateEntry(GetStateEntryRequest(name="state/notes/big"))
    assert MessageToDict(entry)["value"] == {"n": "9007199254740993"}
    for value, reason in ((2.0**53, "INTEGER_PRECISION"), ("a\0b", "NUL_CHARACTER")):
        refused = await refusal(system.admin.state.PutStateEntry(put({"x": [value]})))
        assert (refused.reason, refused.fields) == (reason, ["entry.value.x[0]"])
    infinite = put(0)
    infinite.entry.value.number_value = float("inf")
    assert (await refusal(system.admin.state.PutStateEntry(infinite))).reason == "NON_FINITE_NUMBER"


async def test_a_put_with_another_revision_is_aborted(system: GatewaySystem) -> None:
    """0 says that there must be none; the answer names the present one; a deletion uses its revision up."""
    assert (await refusal(system.admin.state.PutStateEntry(put(1, 3)))).code == "ABORTED"
    assert (await system.admin.state.PutStateEntry(put(1, 0))).revision == 1
    refused = await refusal(system.admin.state.PutStateEntry(put(2, 0)))
    assert (refused.code, refused.reason, refused.metadata["revision"]) == ("ABORTED", "REVISION_MISMATCH", "1")
    assert (await system.admin.state.PutStateEntry(put(2, 1))).revision == 2
    stale = await refusal(system.admin.state.DeleteStateEntry(DeleteStateEntryRequest(name=NAME, revision=1)))
    assert stale.reason == "REVISION_MISMATCH"
    await system.admin.state.DeleteStateEntry(DeleteStateEntryRequest(name=NAME, revision=2))
    gone = await refusal(system.admin.state.DeleteStateEntry(DeleteStateEntryRequest(name=NAME)))
    assert gone.code == "NOT_FOUND"
    assert (await system.admin.state.PutStateEntry(put(3, 0))).revision == 4


async def test_one_concurrent_writer_succeeds_for_each_revision(system: GatewaySystem) -> None:
    """A counter that everybody raises by compare-and-set loses nothing."""

    async def raise_it() -> None:
        while True:
            try:
                entry = await system.admin.state.GetStateEntry(GetStateEntryRequest(name=NAME))
                number, revision = entry.value.number_value, entry.revision
            except grpc.aio.AioRpcError:
                number, revision = 0, 0
            try:
                await system.admin.state.PutStateEntry(put(number + 1, revision))
            except grpc.aio.AioRpcError as failure:
                if failure.code() != grpc.StatusCode.ABORTED:
                    raise
            else:
                return

    await asyncio.gather(*(raise_it() for _ in range(8)))
    entry = await system.admin.state.GetStateEntry(GetStateEntryRequest(name=NAME))
    assert (entry.value.number_value, entry.revision) == (8, 8)


async def test_state_is_shared_by_namespace(system: GatewaySystem) -> None:
    """A glob opens some; listing goes by key and leaves out what is deleted."""
    agent = await system.agent("noter", "state:read:no*", "state:write:notes")
    for key in ("b", "a/x", "c"):
        await agent.state.PutStateEntry(put(1, name=f"state/notes/{key}"))
    await agent.state.DeleteStateEntry(DeleteStateEntryRequest(name="state/notes/c"))
    page = await agent.state.ListStateEntries(ListStateEntriesRequest(parent="state/notes"))
    assert [entry.name for entry in page.entries] == ["state/notes/a/x", "state/notes/b"]
    assert (await refusal(agent.state.PutStateEntry(put(1, name="state/novels/a")))).reason == "MISSING_SCOPE"
    refused = await refusal(agent.state.GetStateEntry(GetStateEntryRequest(name="state/other/a")))
    assert (refused.code, refused.metadata["scope"]) == ("PERMISSION_DENIED", "state:read:other")
    for name in ("state/notes", "state/Notes/a", "notes/a", "state/notes/a//b", "state/notes/" + "k" * 513):
        assert (await refusal(agent.state.GetStateEntry(GetStateEntryRequest(name=name)))).reason == "NAME_INVALID"


async def test_a_tool_is_returned_as_it_was_registered(system: GatewaySystem) -> None:
    """With an owner and an etag; the system's tools are listed beside it; the same name is taken."""
    create = CreateToolRequest(tool=a_tool(), tool_id="weather.forecast")
    created = await system.admin.tools.CreateTool(create)
    assert (created.name, created.owner) == ("tools/weather.forecast", "agents/admin")
    assert await system.admin.tools.GetTool(GetToolRequest(name=created.name)) == created
    assert created.input_schema == a_tool().input_schema
    listed = [tool.name for tool in (await system.admin.tools.ListTools(ListToolsRequest())).tools]
    assert listed == sorted(listed)
    assert {"tools/weather.forecast", "tools/orchestrator.emit"} <= set(listed)
    assert (await refusal(system.admin.tools.CreateTool(create))).reason == "RESOURCE_EXISTS"
    named = CreateToolRequest(tool=a_tool(name="tools/weather.now"))
    assert (await system.admin.tools.CreateTool(named)).name == "tools/weather.now"


async def test_an_invalid_tool_is_refused_with_all_violations(system: GatewaySystem) -> None:
    """Fields here, schemas and transport by the engine."""
    wrong = a_tool(
        description="x\x07",
        timeouts={"run": "-1s"},
        retry={"max": 101},
        input_schema={"type": "objekt"},
        http={"url": "ftp://user:pw@example.com/"},
        owner="agents/x",
    )
    refused = await refusal(system.admin.tools.CreateTool(CreateToolRequest(tool=wrong, tool_id="Bad Name")))
    assert refused.code == "INVALID_ARGUMENT"
    assert {"tool_id", "tool.description", "tool.timeouts.run", "tool.retry.max", "tool.owner"} <= set(refused.fields)
    assert any(field.startswith("tool.input_schema") for field in refused.fields)
    assert any(field.startswith("tool.http") for field in refused.fields)
    bare = Tool(description="no transport")
    refused = await refusal(system.admin.tools.CreateTool(CreateToolRequest(tool=bare, tool_id="bare")))
    assert "tool" in {field.partition(".")[0] for field in refused.fields}


async def test_only_the_owner_and_admins_change_a_tool(system: GatewaySystem) -> None:
    """Everybody with the scope reads it; the system's tools nobody changes."""
    owner = await system.agent("owner", "tools:read", "tools:write")
    other = await system.agent("other", "tools:read", "tools:write")
    tool = await owner.tools.CreateTool(CreateToolRequest(tool=a_tool(), tool_id="weather"))
    assert await other.tools.GetTool(GetToolRequest(name=tool.name)) == tool
    change = UpdateToolRequest(tool=Tool(name=tool.name, description="Changed."))
    assert (await refusal(other.tools.UpdateTool(change))).code == "PERMISSION_DENIED"
    assert (await refusal(other.tools.DeleteTool(DeleteToolRequest(name=tool.name)))).code == "PERMISSION_DENIED"
    assert (await system.admin.tools.UpdateTool(change)).description == "Changed."
    for call in (
        system.admin.tools.CreateTool(CreateToolRequest(tool=a_tool(), tool_id="orchestrator.mine")),
        system.admin.tools.UpdateTool(UpdateToolRequest(tool=a_tool(name="tools/orchestrator.emit"))),
        system.admin.tools.DeleteTool(DeleteToolRequest(name="tools/orchestrator.set")),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "RESERVED")


async def test_a_tools_update_is_masked_and_checked(system: GatewaySystem) -> None:
    """What the mask does not name stays; a stale etag loses; workers are told to read anew."""
    tool = await system.admin.tools.CreateTool(CreateToolRequest(tool=a_tool(), tool_id="weather"))
    async with system.database.connection() as connection:
        before = await connection.fetchval("SELECT revision FROM project WHERE name = 'default'")
    wanted = a_tool(name=tool.name, etag=tool.etag, description="", timeouts={"run": "9s"})
    request = UpdateToolRequest(tool=wanted, update_mask=FieldMask(paths=["timeouts.run", "output_schema"]))
    changed = await system.admin.tools.UpdateTool(request)
    assert (changed.description, changed.timeouts.run.seconds) == ("Tells the weather.", 9)
    assert (await refusal(system.admin.tools.UpdateTool(request))).reason == "ETAG_MISMATCH"
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT revision FROM project WHERE name = 'default'") == before + 1
    await system.admin.tools.DeleteTool(DeleteToolRequest(name=tool.name, etag=changed.etag))
    assert (await refusal(system.admin.tools.GetTool(GetToolRequest(name=tool.name)))).code == "NOT_FOUND"
