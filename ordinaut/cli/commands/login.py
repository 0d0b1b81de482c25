"""`ordinaut login` and `ordinaut logout`."""

import sys
from dataclasses import replace
from getpass import getpass

import typer

from ordinaut.cli import token_store
from ordinaut.cli.output import UsageError, echo, print_json
from ordinaut.cli.session import session_of
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest


def login(context: typer.Context) -> None:
    """Store a token for the address: in the keyring of the system, else in a file that only you may read.

    The token is read from a prompt, or from standard input if that is not a terminal.
    """
    session = session_of(context)
    token = getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    token = token.strip()
    if not token:
        raise UsageError("a token is required on standard input (got an empty line)")
    identity = replace(session, token=token).call(lambda client: client.agents.WhoAmI(WhoAmIRequest()))
    where = token_store.save(session.address, token)
    if session.as_json:
        print_json({"agent": identity.agent.name, "project": identity.project, "stored_in": where})
    else:
        echo(f"{identity.agent.name} in project {identity.project}; the token is in {where}")


def logout(context: typer.Context) -> None:
    """Remove the stored token for the address. The token itself remains valid: revoke it with `agent token revoke`."""
    session = session_of(context)
    token_store.forget(session.address)
    print_json({"address": session.address}) if session.as_json else echo(f"no token for {session.address}")
