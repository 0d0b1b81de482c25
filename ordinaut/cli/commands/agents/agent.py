"""`ordinaut agent`: the callers of the API."""

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.commands.agents import token
from ordinaut.cli.output import UsageError, echo, local_time, print_details, print_json, print_table, shorten
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    DeleteAgentRequest,
    GetAgentRequest,
    ListAgentsRequest,
    UpdateAgentRequest,
)

app = typer.Typer(no_args_is_help=True, help="Manage agents, the callers of the API, and their tokens.")
app.add_typer(token.app, name="token")
COLUMNS = ("NAME", "DISPLAY NAME", "SCOPES", "CREATED")
Name = Annotated[str, typer.Argument(help="Agent: `mailer` or `agents/mailer`.")]


@app.callback()
def group() -> None:
    """Manage agents, the callers of the API, and their tokens."""


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
    print_json({"agent": name, "token": token.secret}) if session.as_json else echo(token.secret)


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
    print_json(agent) if session.as_json else echo(f"{agent.name}: {', '.join(agent.scopes)}")


@app.command("list")
def list_agents(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of agents.")] = 50,
    condition: Annotated[str, typer.Option("--filter", help='Filter such as `scopes : "admin"`.')] = "",
) -> None:
    """List the agents of the project."""
    session = session_of(context)

    async def work(client: Client) -> list[Agent]:
        async def page(size: int, token: str) -> tuple[list[Agent], str]:
            request = ListAgentsRequest(page_size=size, page_token=token, filter=condition)
            answer = await client.agents.ListAgents(request)
            return list(answer.agents), answer.next_page_token

        return await collect(limit, page)

    agents = session.call(work)
    if session.as_json:
        print_json({"agents": [to_document(agent) for agent in agents]})
    else:
        print_table(COLUMNS, map(_row, agents), "no agents")


@app.command("get")
def get_agent(context: typer.Context, name: Name) -> None:
    """Print an agent."""
    session = session_of(context)
    request = GetAgentRequest(name=with_prefix("agents", name))
    agent = session.call(lambda client: client.agents.GetAgent(request))
    print_json(agent) if session.as_json else print_details(agent)


@app.command("update")
def update_agent(
    context: typer.Context,
    name: Name,
    scope: Annotated[
        list[str] | None, typer.Option(help="All scopes that the agent has afterwards. Repeatable.")
    ] = None,
    display_name: Annotated[str | None, typer.Option(help="Human-readable name.")] = None,
) -> None:
    """Replace the scopes or the display name of an agent; its tokens lose the scopes that it loses."""
    session = session_of(context)
    changed = [path for path, value in (("scopes", scope), ("display_name", display_name)) if value is not None]
    if not changed:
        raise UsageError("at least one of --scope and --display-name is required")
    agent = Agent(name=with_prefix("agents", name), scopes=scope or (), display_name=display_name or "")
    request = UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=changed))
    agent = session.call(lambda client: client.agents.UpdateAgent(request))
    print_json(agent) if session.as_json else echo(f"{agent.name}: {', '.join(agent.scopes)}")


@app.command("delete")
def delete_agent(context: typer.Context, name: Name) -> None:
    """Delete an agent that owns no tasks, with its tokens."""
    session = session_of(context)
    request = DeleteAgentRequest(name=with_prefix("agents", name))
    session.call(lambda client: client.agents.DeleteAgent(request))
    print_json({"deleted": request.name}) if session.as_json else echo(f"{request.name} deleted")


def _row(agent: Agent) -> tuple[str, ...]:
    return agent.name, shorten(agent.display_name), ", ".join(agent.scopes), local_time(agent.create_time)
