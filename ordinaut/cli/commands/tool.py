"""`ordinaut tool`: registers the tools that pipelines can call."""

from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.apply import Verbs, apply, without_output
from ordinaut.cli.output import echo, print_details, print_json, print_table, shorten
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.cli.sources import fixes_in, read_sources
from ordinaut.client import Client
from ordinaut.client.document import DocumentError, Problem, read
from ordinaut.v1 import tool_service_pb2 as requests
from ordinaut.v1.tool_pb2 import Tool

app = typer.Typer(no_args_is_help=True, help="Register, list and delete tools.")
Name = Annotated[str, typer.Argument(help="Tool: `weather.forecast` or `tools/weather.forecast`.")]
COLUMNS = ("TOOL", "EFFECT", "TRANSPORT", "OWNER", "DESCRIPTION")


@app.command("apply")
def apply_files(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Option("--file", "-f", help="File with one or more tools, YAML or JSON (-: standard input). Repeatable."),
    ],
) -> None:
    """Create tools, or update them to match the files."""
    session = session_of(context)
    sources = read_sources(files)
    tools = [_tool(dict(source.document)) for source in sources]

    async def work(client: Client) -> None:
        for tool, source in zip(tools, sources, strict=True):
            with fixes_in(source, "tool", requests.CreateToolRequest.DESCRIPTOR):
                applied, outcome = await apply(tool, _verbs(client))
            print_json(applied) if session.as_json else echo(f"{applied.name} {outcome}")
            for warning in applied.warnings:
                echo(f"  warning: {warning}", err=True)

    session.call(work)


@app.command("list")
def list_tools(
    context: typer.Context, limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 100
) -> None:
    """List the tools of the project and of the system, ordered by name."""
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
    """Print one tool with its schemas."""
    session = session_of(context)
    request = requests.GetToolRequest(name=with_prefix("tools", name))
    tool = session.call(lambda client: client.tools.GetTool(request))
    (print_json if session.as_json else print_details)(tool)


@app.command("delete")
def delete_tool(context: typer.Context, name: Name) -> None:
    """Delete a tool and print which tasks use it; their steps will fail."""
    session = session_of(context)
    request = requests.DeleteToolRequest(name=with_prefix("tools", name))
    response = session.call(lambda client: client.tools.DeleteTool(request))
    if session.as_json:
        print_json(response)
        return
    echo(f"{request.name} deleted")
    for warning in response.warnings:
        echo(f"warning: {warning}", err=True)


def _tool(document: dict[str, Any]) -> Tool:
    tool = read(without_output(document, Tool()), Tool(), "tool")
    if not tool.name:
        raise DocumentError([Problem("tool.name", "is required, such as `tools/weather.forecast`")])
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
    return tool.name, effect, tool.WhichOneof("transport") or "", tool.owner, shorten(tool.description)
