"""`ordinaut pipeline`: works on pipeline documents without creating tasks."""

import difflib
import json
from collections.abc import Iterable
from importlib import resources
from typing import Annotated, Any

import typer

from ordinaut.cli.commands.pipelines.graph import mermaid
from ordinaut.cli.commands.pipelines.run import run_once
from ordinaut.cli.commands.pipelines.simulate import simulate
from ordinaut.cli.commands.pipelines.tool_schema import with_tools
from ordinaut.cli.errors import fix_text, show
from ordinaut.cli.files import one_document
from ordinaut.cli.output import echo, echo_lines
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of
from ordinaut.client import ApiError, Client, Fix
from ordinaut.client.document import DocumentError, Problem, read, to_document, with_integers
from ordinaut.client.errors import PatchError
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import ValidateTaskRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import ListToolsRequest
from ordinaut.visible import json_text

app = typer.Typer(no_args_is_help=True, help="Check, draw, simulate and run pipelines; print their JSON Schema.")
app.command("run")(run_once)
app.command("simulate")(simulate)
File = Annotated[str, typer.Argument(help="File with one pipeline or task, YAML or JSON (-: standard input).")]
MAX_ROUNDS = 6
"""Rounds of repairs, because a repair can reveal further problems."""
INVALID = "INVALID_ARGUMENT"
MAX_TOOLS = 1000


@app.command("lint")
def lint(context: typer.Context, file: File) -> None:
    """Validate a pipeline on the server and print repairs as a diff. Exit code 1 if it is invalid."""
    session = session_of(context)
    request = _request(one_document(file), file)

    async def work(client: Client) -> tuple[Task | None, ApiError | None, dict[str, Any]]:
        accepted, first_error, repaired = None, None, request
        for _ in range(MAX_ROUNDS):
            try:
                accepted = await client.tasks.ValidateTask(read(repaired, ValidateTaskRequest()))
            except ApiError as error:
                first_error = first_error or error
                following = _repaired(repaired, error.fixes)
                if error.code != INVALID or following == repaired:
                    break
                repaired = following
            else:
                break
        return accepted, first_error, repaired

    accepted, error, repaired = session.call(work)
    if error is not None:
        show(error, as_json=session.as_json)
        if not session.as_json:
            echo_lines(_difference(request, repaired, file))
        raise typer.Exit(1)
    if accepted is not None:
        _print_warnings(accepted, request, file)
    echo(f"{file} is valid")


@app.command("graph")
def graph(file: File) -> None:
    """Print a pipeline as a Mermaid flowchart; needs no server."""
    echo_lines(mermaid(_pipeline(one_document(file), file)))


@app.command("schema")
def schema(
    context: typer.Context,
    tools: Annotated[
        bool, typer.Option("--tools", help="Include the tools of the project and their input schemas.")
    ] = False,
) -> None:
    """Print the JSON Schema of pipelines, for editors and language models."""
    text = resources.files("ordinaut").joinpath("pipeline.schema.json").read_text()
    if tools:
        registered = session_of(context).call(_all_tools)
        text = json_text(with_tools(json.loads(text), registered), indent=2) + "\n"
    echo_lines(text)


async def _all_tools(client: Client) -> list[dict[str, Any]]:
    """The tools visible to the caller, as JSON."""

    async def page(size: int, token: str) -> tuple[list[Tool], str]:
        answer = await client.tools.ListTools(ListToolsRequest(page_size=size, page_token=token))
        return list(answer.tools), answer.next_page_token

    return [to_document(tool) for tool in await collect(MAX_TOOLS, page)]


def _pipeline(document: dict[str, Any], file: str) -> dict[str, Any]:
    pipeline = document.get("pipeline", document)
    if not isinstance(pipeline, dict):
        raise DocumentError(
            [Problem(file, f"a pipeline must be an object with `steps` (got {type(pipeline).__name__})")]
        )
    return pipeline


def _request(document: dict[str, Any], file: str) -> dict[str, Any]:
    """The validation request for a task document, or for a pipeline in an otherwise empty task."""
    if "pipeline" not in document:
        return {"task": {"pipeline": document}}
    task = {key: value for key, value in document.items() if key != "name"}
    return {"task": {**to_document(read(task, Task(), file)), "pipeline": document["pipeline"]}}


def _print_warnings(accepted: Task, request: dict[str, Any], file: str) -> None:
    """Prints warnings and their fixes."""
    for warning in accepted.warnings:
        echo(f"warning: {warning}", err=True)
    fixes = [Fix.of(fix) for fix in accepted.fixes]
    for fix in fixes:
        echo(f"fix: {fix_text(fix)}", err=True)
    echo_lines(_difference(request, _repaired(request, fixes), file))


def _repaired(request: dict[str, Any], fixes: Iterable[Fix]) -> dict[str, Any]:
    """The request with all applicable fixes."""
    for fix in fixes:
        try:
            request = with_integers(fix.apply(request))
        except PatchError:
            continue  # another fix has moved its target; the next round reports it again
    return request


def _difference(before: dict[str, Any], after: dict[str, Any], file: str) -> str:
    lines = difflib.unified_diff(
        _lines(before), _lines(after), fromfile=file, tofile=f"{file} (repaired)", lineterm="\n", n=2
    )
    return "".join(lines)


def _lines(request: dict[str, Any]) -> list[str]:
    task = request["task"]
    content = task["pipeline"] if task.keys() == {"pipeline"} else task
    return json_text(content, indent=2).splitlines(keepends=True)
