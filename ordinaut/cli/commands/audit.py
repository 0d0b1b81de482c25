"""`ordinaut audit`: who changed something or was refused."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format

from ordinaut.cli.output import UsageError, echo, local_time, print_json, print_table, shorten
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of
from ordinaut.client import Client
from ordinaut.client.document import to_document
from ordinaut.v1.audit_pb2 import AuditHead, AuditRecord
from ordinaut.v1.audit_service_pb2 import (
    ExportAuditRecordsRequest,
    ListAuditRecordsRequest,
    VerifyAuditRequest,
    VerifyAuditResponse,
)

app = typer.Typer(no_args_is_help=True, help="List, export and verify the audit records of the project.")
COLUMNS = ("RECORD", "TIME", "AGENT", "ADDRESS", "METHOD", "RESOURCE", "OUTCOME", "REASON", "COUNT")
VERIFY_SECONDS = 300.0


@app.callback()
def group() -> None:
    """List, export and verify the audit records of the project."""


@app.command("list")
def list_records(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of records.")] = 50,
    condition: Annotated[
        str, typer.Option("--filter", help='Filter such as `agent = "agents/mailer" AND outcome = DENIED`.')
    ] = "",
) -> None:
    """List records, newest first."""
    session = session_of(context)

    async def work(client: Client) -> list[AuditRecord]:
        async def page(size: int, token: str) -> tuple[list[AuditRecord], str]:
            request = ListAuditRecordsRequest(page_size=size, page_token=token, filter=condition)
            answer = await client.audit.ListAuditRecords(request)
            return list(answer.audit_records), answer.next_page_token

        return await collect(limit, page)

    records = session.call(work)
    if session.as_json:
        print_json({"audit_records": [to_document(record) for record in records]})
    else:
        print_table(COLUMNS, map(_row, records), "no audit records")


@app.command("export")
def export_records(
    context: typer.Context,
    after_position: Annotated[int, typer.Option(min=0, help="Only records after this position.")] = 0,
) -> None:
    """Print sealed records in the order of the chain, one JSON document a line; the last line is the head."""

    async def work(client: Client) -> None:
        async for entry in client.audit.ExportAuditRecords(ExportAuditRecordsRequest(after_position=after_position)):
            print_json(entry)

    session_of(context).call(work)


@app.command("verify")
def verify_records(
    context: typer.Context,
    anchor: Annotated[
        Path | None,
        typer.Option(help="File with heads, one JSON document a line: an export, or a log of the scheduler."),
    ] = None,
) -> None:
    """Verify the chain of hashes; exit code 1, with the first problem, if it is not sound."""
    session = session_of(context)
    request = VerifyAuditRequest(anchors=_heads(anchor) if anchor else ())

    async def work(client: Client) -> VerifyAuditResponse:
        if anchor and not request.anchors:
            raise UsageError(f"--anchor: {anchor} must contain at least one head")
        verify: Any = client.audit.VerifyAudit
        answer: VerifyAuditResponse = await verify(request, timeout=VERIFY_SECONDS)
        return answer

    verified = session.call(work)
    print_json(verified) if session.as_json else echo(_summary(verified))
    if verified.HasField("problem"):
        sys.exit(1)


def _heads(path: Path) -> list[AuditHead]:
    """The heads in a file: lines of `audit export`, of the log of a scheduler, or heads alone; others are skipped."""
    heads = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if '"hash"' not in line:
            continue
        try:
            document = json.loads(line)
            head = document.get("head", document)
            if "record" not in document and "position" in head:
                fields = {name: head[name] for name in ("project", "position", "hash") if name in head}
                heads.append(json_format.ParseDict(fields, AuditHead()))
        except (ValueError, AttributeError, json_format.ParseError) as failure:
            raise UsageError(f"--anchor: line {number} must be a JSON object with a head: {failure}") from None
    return heads


def _summary(verified: VerifyAuditResponse) -> str:
    head = verified.head
    dropped = f", after {verified.dropped_position} dropped by retention" if verified.dropped_position else ""
    sound = f"{verified.records} records are sound up to position {head.position}{dropped}"
    outside = f"{verified.unsealed} newer records are not sealed yet" if verified.unsealed else "all records are sealed"
    if not verified.HasField("problem"):
        return f"{sound}; {outside}\nhead {head.position} {head.hash}"
    problem = verified.problem
    kind = VerifyAuditResponse.Kind.Name(problem.kind)
    where = f"position {problem.position}" if problem.position else problem.record
    return f"{kind} at {where}: {problem.message}\n{sound}"


def _row(record: AuditRecord) -> tuple[str, ...]:
    return (
        record.name,
        local_time(record.time),
        record.agent,
        record.address,
        record.method,
        shorten(record.resource),
        AuditRecord.Outcome.Name(record.outcome) if not record.erased else "ERASED",
        shorten(record.reason),
        str(record.count),
    )
