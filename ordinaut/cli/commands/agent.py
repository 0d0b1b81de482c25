"""`ordinaut agent`: creates callers of the API."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.output import print_json
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    GetAgentRequest,
    UpdateAgentRequest,
)

app = typer.Typer(no_args_is_help=True, help="Create agents, the callers of the API.")
Name = Annotated[str, typer.Argument(help="Agent: `mailer` or `agents/mailer`.")]


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
    min_priority: Annotated[
        int, typer.Option(min=1, max=9, help="Most urgent priority of its tasks and runs; 1 is the most urgent.")
    ] = 3,
) -> None:
    """Create an agent and print its token, which cannot be displayed again."""
    session = session_of(context)
    name = with_prefix("agents", name)

    async def work(client: Client) -> AgentToken:
        agent = Agent(display_name=display_name, scopes=scope, min_priority=min_priority)
        agent = await client.agents.CreateAgent(CreateAgentRequest(agent=agent, agent_id=name.partition("/")[2]))
        return await client.agents.CreateAgentToken(CreateAgentTokenRequest(parent=agent.name))

    token = session.call(work)
    print_json({"agent": name, "token": token.secret}) if session.as_json else typer.echo(token.secret)


@app.command("grant")
def grant_scopes(
    context: typer.Context,
    name: Name,
    scope: Annotated[list[str], typer.Option(help="Scope to add, as in `agent create`. Repeatable.")],
) -> None:
    """Add scopes to an agent; its tokens without a restriction have them within two seconds."""
    session = session_of(context)
    name = with_prefix("agents", name)

    async def work(client: Client) -> Agent:
        agent = await client.agents.GetAgent(GetAgentRequest(name=name))
        scopes = list(dict.fromkeys([*agent.scopes, *scope]))
        request = UpdateAgentRequest(
            agent=Agent(name=name, scopes=scopes, etag=agent.etag), update_mask=FieldMask(paths=["scopes"])
        )
        return await client.agents.UpdateAgent(request)

    agent = session.call(work)
    print_json(agent) if session.as_json else typer.echo(f"{agent.name}: {', '.join(agent.scopes)}")


@app.command("token")
def create_token(
    context: typer.Context,
    name: Name,
    scope: Annotated[
        list[str] | None, typer.Option(help="Restrict the token to this scope. Repeatable; default: all of the agent.")
    ] = None,
) -> None:
    """Create a token for an agent and print it; it cannot be displayed again."""
    session = session_of(context)
    request = CreateAgentTokenRequest(parent=with_prefix("agents", name), agent_token=AgentToken(scopes=scope or ()))
    token = session.call(lambda client: client.agents.CreateAgentToken(request))
    print_json({"agent": request.parent, "token": token.secret}) if session.as_json else typer.echo(token.secret)
