"""`ordinaut tool`: what pipelines can call."""

from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.apply import Verbs, apply, without_output
from ordinaut.cli.files import documents
from ordinaut.cli.output import print_details, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.document import DocumentError, Problem, read
from ordinaut.v1 import tool_service_pb2 as requests
from ordinaut.v1.tool_pb2 import Tool

app = typer.Typer(no_args_is_help=True, help="Tools: register, list, remove.")
Name = Annotated[str, typer.Argument(help="The tool, as `weather.forecast` or `tools/weather.forecast`.")]
COLUMNS = ("TOOL", "EFFECT", "TRANSPORT", "OWNER", "DESCRIPTION")
SHORT = 60  # characters of a description in a table


@app.command("apply")
def apply_files(
    context: typer.Context,
    files: Annotated[list[str], typer.Option("--file", "-f", help="YAML or JSON with one or more tools; - is stdin.")],
) -> None:
    """Register tools, or bring them to what their files say."""
    session = session_of(context)
    tools = [_tool(document) for path in files for document in documents(path)]

    async def work(client: Client) -> None:
        for tool in tools:
            applied, outcome = await apply(tool, _verbs(client))
            print_json(applied) if session.as_json else typer.echo(f"{applied.name} {outcome}")

    session.call(work)


@app.command("list")
def list_tools(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100
) -> None:
    """List the project's tools and the system's, by name."""
    session = session_of(context)

    async def work(client: Client) -> list[Tool]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            answer = await client.tools.ListTools(requests.ListToolsRequest(page_size=size, page_token=token))
            return list(answer.tools), answer.next_page_token

        return await collect(limit, page)

    tools = session.call(work)
    if session.as_json:
        print_json(requests.ListToolsResponse(tools=tools))
    else:
        print_table(COLUMNS, map(_row, tools), "no tools")


@app.command("get")
def get_tool(context: typer.Context, name: Name) -> None:
    """Show one tool with its schemas."""
    session = session_of(context)
    request = requests.GetToolRequest(name=with_prefix("tools", name))
    tool = session.call(lambda client: client.tools.GetTool(request))
    (print_json if session.as_json else print_details)(tool)


@app.command("delete")
def delete_tool(context: typer.Context, name: Name) -> None:
    """Remove a tool; steps that use it fail from now on."""
    session = session_of(context)
    request = requests.DeleteToolRequest(name=with_prefix("tools", name))
    session.call(lambda client: client.tools.DeleteTool(request))
    print_json({}) if session.as_json else typer.echo(f"{request.name} deleted")


def _tool(document: dict[str, Any]) -> Tool:
    tool = read(without_output(document, Tool()), Tool(), "tool")
    if not tool.name:
        raise DocumentError([Problem("tool.name", "is needed to create or update: `tools/weather.forecast`")])
    tool.name = with_prefix("tools", tool.name)
    return tool


def _verbs(client: Client) -> Verbs:
    def create(tool: Tool) -> Any:
        return client.tools.CreateTool(requests.CreateToolRequest(tool=tool, tool_id=tool.name.partition("/")[2]))

    def update(tool: Tool, mask: FieldMask) -> Any:
        return client.tools.UpdateTool(requests.UpdateToolRequest(tool=tool, update_mask=mask))

    return Verbs(lambda name: client.tools.GetTool(requests.GetToolRequest(name=name)), create, update)


def _row(tool: Tool) -> tuple[str, ...]:
    effect = Tool.Effect.Name(tool.effect) if tool.effect else "IDEMPOTENT"
    description = tool.description if len(tool.description) <= SHORT else tool.description[: SHORT - 1] + "…"
    return tool.name, effect, tool.WhichOneof("transport") or "", tool.owner, description
