"""The command-line program `ordinaut`."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ordinaut.cli import errors
from ordinaut.cli.commands import approval, audit, database, event, login, project, run, schedule, state, status, tool
from ordinaut.cli.commands.agents import agent
from ordinaut.cli.commands.pipelines import pipeline
from ordinaut.cli.commands.protos import protos
from ordinaut.cli.commands.tasks import task
from ordinaut.cli.commands.tasks.draft import draft
from ordinaut.cli.commands.tasks.importing import import_file
from ordinaut.cli.commands.up import up
from ordinaut.cli.output import echo, echo_lines
from ordinaut.cli.session import Session
from ordinaut.client import ApiError
from ordinaut.client.client import DEFAULT_ADDRESS
from ordinaut.client.document import DocumentError
from ordinaut.errors import OrdinautError

FLAGS = frozenset({"--json"})
OPTIONS = frozenset({"--address", "--token"})
VISIBLE_OPTION = (
    "warning: other users of this machine can read --token in the list of processes; use ORDINAUT_TOKEN or"
    " `ordinaut login`"
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("up")(up)
app.add_typer(task.app, name="task")
app.command("draft")(draft)
app.command("import")(import_file)
app.add_typer(schedule.app, name="schedule")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(run.app, name="run")
app.add_typer(approval.app, name="approval")
app.add_typer(event.app, name="event")
app.add_typer(tool.app, name="tool")
app.add_typer(state.app, name="state")
app.add_typer(agent.app, name="agent")
app.add_typer(audit.app, name="audit")
app.command("login")(login.login)
app.command("logout")(login.logout)
app.command("protos")(protos)
app.command("whoami")(status.whoami)
app.command("status")(status.status)
app.add_typer(project.app, name="project")
app.add_typer(database.admin, name="admin")
app.command("migrate")(database.migrate)


@app.callback()
def options(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option(
            envvar="ORDINAUT_ADDRESS",
            help="Address of the gateway: host:port or https://host:port; or several, separated by commas.",
        ),
    ] = DEFAULT_ADDRESS,
    token: Annotated[
        str,
        typer.Option(
            envvar="ORDINAUT_TOKEN",
            help="Access token. Other users of this machine can read it on the command line: use the environment or"
            " `ordinaut login`.",
            show_default=False,
        ),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option("--json", envvar="ORDINAUT_JSON", help="Print JSON. Global options may also follow the command."),
    ] = False,
) -> None:
    """Ordinaut: scheduling, state and workflow execution for agents."""
    source = context.get_parameter_source("token")
    if source is not None and source.name == "COMMANDLINE":
        echo(VISIBLE_OPTION, err=True)
    context.obj = Session(address, token, as_json)


def main() -> None:
    """Runs one command. Exit code 1: error; 2: wrong usage."""
    arguments = globals_first(sys.argv[1:])
    try:
        app(arguments)
    except ApiError as error:
        errors.show(error, as_json="--json" in arguments or os.environ.get("ORDINAUT_JSON") in {"1", "true"})
    except DocumentError as error:
        errors.show_document(error)
    except ModuleNotFoundError as error:
        echo(
            f"ordinaut: {error}; this command requires the package ordinaut-server: pip install ordinaut-server",
            err=True,
        )
    except (OrdinautError, OSError, RuntimeError) as error:
        echo_lines(f"ordinaut: {error}\n", err=True)
    sys.exit(1)  # a successful command has already exited


def globals_first(arguments: Sequence[str]) -> list[str]:
    """Moves the global options to the front, so that they are accepted after the command too."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        if argument == "--":
            rest += [argument, *pending]
            break
        is_global = argument.partition("=")[0] in FLAGS | OPTIONS
        (front if is_global else rest).append(argument)
        if argument in OPTIONS and pending:
            front.append(pending.pop(0))
    return front + rest


if __name__ == "__main__":
    main()
