"""`ordinaut agent token`: the tokens of an agent."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from ordinaut.cli.output import echo, local_time, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import Session, session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentTokenRequest,
    ListAgentTokensRequest,
    RevokeAgentTokenRequest,
    RotateAgentTokenRequest,
)

app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke the tokens of an agent.")
COLUMNS = ("NAME", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "REVOKED", "ISSUER")
Agent = Annotated[str, typer.Argument(help="Agent: `mailer` or `agents/mailer`.")]
Name = Annotated[str, typer.Argument(help="Token: `agents/mailer/tokens/ID`, as in `agent token list`.")]


@app.callback()
def group() -> None:
    """Create, list, rotate and revoke the tokens of an agent."""


@app.command("create")
def create_token(
    context: typer.Context,
    agent: Agent,
    scope: Annotated[
        list[str] | None, typer.Option(help="Restrict the token to this scope. Repeatable; default: all of the agent.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="Lifetime in days; 0: the default of the installation.")] = 0,
) -> None:
    """Create a token for an agent and print it; it cannot be displayed again."""
    session = session_of(context)
    token = AgentToken(scopes=scope or ())
    if days:
        token.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    request = CreateAgentTokenRequest(parent=with_prefix("agents", agent), agent_token=token)
    _print_secret(session, request.parent, session.call(lambda client: client.agents.CreateAgentToken(request)))


@app.command("list")
def list_tokens(
    context: typer.Context,
    agent: Agent,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of tokens.")] = 50,
) -> None:
    """List the tokens of an agent, revoked ones included."""
    session = session_of(context)
    parent = with_prefix("agents", agent)

    async def work(client: Client) -> list[AgentToken]:
        async def page(size: int, token: str) -> tuple[list[AgentToken], str]:
            request = ListAgentTokensRequest(parent=parent, page_size=size, page_token=token)
            answer = await client.agents.ListAgentTokens(request)
            return list(answer.agent_tokens), answer.next_page_token

        return await collect(limit, page)

    tokens = session.call(work)
    if session.as_json:
        print_json({"agent_tokens": [to_document(token) for token in tokens]})
    else:
        print_table(COLUMNS, map(_row, tokens), "no tokens")


@app.command("rotate")
def rotate_token(
    context: typer.Context,
    name: Name,
    overlap: Annotated[float, typer.Option(min=0, help="Hours for which the old token remains valid.")] = 24,
) -> None:
    """Replace a token by one with the same scopes and print it; the old one expires after the overlap."""
    session = session_of(context)
    request = RotateAgentTokenRequest(name=name)
    request.overlap.FromTimedelta(timedelta(hours=overlap))
    _print_secret(session, name.partition("/tokens/")[0], session.call(lambda c: c.agents.RotateAgentToken(request)))


@app.command("revoke")
def revoke_token(context: typer.Context, name: Name) -> None:
    """Revoke a token; gateways accept it for at most two more seconds."""
    session = session_of(context)
    session.call(lambda client: client.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=name)))
    print_json({"revoked": name}) if session.as_json else echo(f"{name} revoked")


def _print_secret(session: Session, agent: str, token: AgentToken) -> None:
    if session.as_json:
        print_json({"agent": agent, "token": token.secret, "name": token.name})
    else:
        echo(token.secret)


def _row(token: AgentToken) -> tuple[str, ...]:
    return (
        token.name,
        ", ".join(token.scopes) or "all of the agent",
        local_time(token.create_time),
        local_time(token.last_use_time),
        local_time(token.expire_time),
        local_time(token.revoke_time),
        token.issuer or "database",
    )
