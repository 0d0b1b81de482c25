"""`ordinaut approval`: lists and answers approvals."""

from typing import Annotated, Any

import jsonpatch
import typer

from ordinaut.cli.output import (
    UsageError,
    echo,
    echo_lines,
    local_time,
    print_details,
    print_json,
    print_table,
    shorten,
)
from ordinaut.cli.pagination import collect
from ordinaut.cli.parameters import parse_json, parse_message, parse_pairs
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1 import approval_service_pb2 as requests
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.visible import json_text

app = typer.Typer(no_args_is_help=True, help="List and answer approvals, the questions on which runs wait.")
Name = Annotated[str, typer.Argument(help="Approval id or `approvals/ID`.")]
COLUMNS = ("APPROVAL", "STATE", "QUESTION", "CHOICES", "STEP", "TASK", "EXPIRES")


@app.command("list")
def list_approvals(
    context: typer.Context,
    mine: Annotated[bool, typer.Option("--mine", help="Only approvals assigned to the caller.")] = False,
    run: Annotated[str, typer.Option(help="Only approvals of this run.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Include approvals in any state.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 50,
) -> None:
    """List pending approvals, newest first."""
    session = session_of(context)
    request = requests.ListApprovalsRequest(
        run=with_prefix("runs", run) if run else "",
        assignee="me" if mine else "",
        states=[] if every else [Approval.PENDING],
    )

    async def work(client: Client) -> list[Approval]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request.page_size, request.page_token = size, token
            answer = await client.approvals.ListApprovals(request)
            return list(answer.approvals), answer.next_page_token

        return await collect(limit, page)

    approvals = session.call(work)
    if session.as_json:
        print_json(requests.ListApprovalsResponse(approvals=approvals))
    else:
        print_table(COLUMNS, map(_row, approvals), "no approvals")


@app.command("show")
def show_approval(context: typer.Context, name: Name) -> None:
    """Print one approval with its subject."""
    session = session_of(context)
    request = requests.GetApprovalRequest(name=with_prefix("approvals", name))
    approval = session.call(lambda client: client.approvals.GetApproval(request))
    print_json(approval) if session.as_json else print_details(approval)


@app.command("answer")
def answer_approval(
    context: typer.Context,
    name: Name,
    choice: Annotated[str, typer.Argument(help="One of the choices, such as `approve` or `reject`.")],
    value: Annotated[str, typer.Option("--input", help="Additional input, as JSON.")] = "",
    edit: Annotated[
        list[str] | None,
        typer.Option(help="Change of the subject: JSON pointer and value, such as `/text=Hello`. Repeatable."),
    ] = None,
    comment: Annotated[str, typer.Option(help="Comment, stored with the answer.")] = "",
    subject: Annotated[
        str, typer.Option("--hash", help="Hash of the subject that was read; an answer to another one is refused.")
    ] = "",
) -> None:
    """Answer an approval; prints the question and the subject in full to standard error."""
    session = session_of(context)
    answer: dict[str, Any] = {"name": with_prefix("approvals", name), "choice": choice, "comment": comment}
    if value:
        answer["input"] = parse_json(value)
    edits = parse_pairs(edit or [])

    async def work(client: Client) -> Approval:
        current = await client.approvals.GetApproval(requests.GetApprovalRequest(name=answer["name"]))
        answer["subject_hash"] = subject or current.subject.hash
        if edits:
            answer["edited_input"] = _edited(to_document(current.subject).get("input"), edits)
        if not session.as_json:
            _print_subject(current, answer)
        return await client.approvals.AnswerApproval(parse_message(answer, requests.AnswerApprovalRequest(), ""))

    updated = session.call(work)
    print_json(updated) if session.as_json else echo(f"{updated.name} {Approval.State.Name(updated.state)}")


def _print_subject(approval: Approval, answer: dict[str, Any]) -> None:
    document = to_document(approval.subject)
    echo(f"question: {approval.message}", err=True)
    if approval.subject.tool:
        echo(f"tool: {approval.subject.tool}", err=True)
    echo_lines(f"subject: {json_text(document.get('input'), indent=2)}\n", err=True)
    if "edited_input" in answer:
        echo_lines(f"edited: {json_text(answer['edited_input'], indent=2)}\n", err=True)
    echo(f"hash: {approval.subject.hash}", err=True)


def _edited(before: Any, edits: dict[str, Any]) -> Any:
    operations = [{"op": "replace", "path": path, "value": value} for path, value in edits.items()]
    try:
        return jsonpatch.apply_patch(before, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as failure:
        raise UsageError(f"--edit: {failure}") from None


def _row(approval: Approval) -> tuple[str, ...]:
    return (
        approval.name,
        Approval.State.Name(approval.state),
        shorten(approval.message),
        ", ".join(approval.choices),
        approval.step,
        approval.task or approval.run,
        local_time(approval.expire_time),
    )
