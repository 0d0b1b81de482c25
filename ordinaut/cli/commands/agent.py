"""`ordinaut agent`: creates callers of the API."""

from typing import Annotated

import typer

from ordinaut.cli.output import print_json
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest

app = typer.Typer(no_args_is_help=True, help="Create agents, the callers of the API.")


@app.callback()
def group() -> None:
    """Create agents, the callers of the API."""


@app.command("create")
def create_agent(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Agent id: lower-case letters, digits and hyphens.")],
    scope: Annotated[
        list[str],
        typer.Option(
            help="Scope such as tasks:write (define tasks), tasks:run:report-* (start them), tools:call:mail.* or"
            " admin; tasks:write does not include tasks:run. Repeatable."
        ),
    ],
    display_name: Annotated[str, typer.Option(help="Human-readable name.")] = "",
) -> None:
    """Create an agent and print its token, which cannot be displayed again."""
    session = session_of(context)
    name = with_prefix("agents", name)

    async def work(client: Client) -> AgentToken:
        agent = Agent(display_name=display_name, scopes=scope)
        agent = await client.agents.CreateAgent(CreateAgentRequest(agent=agent, agent_id=name.partition("/")[2]))
        return await client.agents.CreateAgentToken(CreateAgentTokenRequest(parent=agent.name))

    token = session.call(work)
    print_json({"agent": name, "token": token.secret}) if session.as_json else typer.echo(token.secret)
