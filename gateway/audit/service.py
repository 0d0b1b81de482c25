# ruff: noqa: N802 - methods are named by the contract
"""AuditService: lists, exports and verifies the audit records of the caller's project."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from gateway.api.filters import parse_filter
from gateway.api.json_values import to_datetime
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.violations import Problems, at_most, got
from gateway.audit.conversion import to_head, to_record
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import current_caller
from ordinaut.rpc.interceptor import Context
from ordinaut.store import audit, audit_seal
from ordinaut.store.audit import AuditEntry
from ordinaut.store.audit_seal import Head
from ordinaut.store.audit_verify import Problem, verify
from ordinaut.store.database import Database
from ordinaut.telemetry import get_logger
from ordinaut.v1.audit_service_pb2 import (
    ExportAuditRecordsRequest,
    ExportAuditRecordsResponse,
    ListAuditRecordsRequest,
    ListAuditRecordsResponse,
    VerifyAuditRequest,
    VerifyAuditResponse,
)
from ordinaut.v1.audit_service_pb2_grpc import AuditServiceServicer

log = get_logger()
ANCHORS_MAX = 1000
EXPORT_BATCH = 200
EXPORT = "/ordinaut.v1.AuditService/ExportAuditRecords"
LAST_ID = 2**63 - 1
HASH = re.compile(r"[0-9a-f]{64}")
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Audit(AuditServiceServicer):
    """Implements AuditService."""

    def __init__(self, database: Database, page_tokens: PageTokens, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._database = database
        self._page_tokens = page_tokens

    async def ListAuditRecords(self, request: ListAuditRecordsRequest, context: Context) -> ListAuditRecordsResponse:
        """Lists a page of records, newest first."""
        caller, size = current_caller(), page_size(request.page_size)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, audit.FIELDS)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[AuditEntry]:
                before = int(after) if after else LAST_ID
                return await audit.list_page(
                    connection, project=caller.project, condition=condition, before=before, size=count
                )

            page = await read_page(read, _key, start, size, to_record)
        token = self._page_tokens.token(request, caller, _key(page.last)) if page.last else ""
        return ListAuditRecordsResponse(audit_records=page.messages, next_page_token=token)

    async def ExportAuditRecords(
        self, request: ExportAuditRecordsRequest, context: Context
    ) -> AsyncIterator[ExportAuditRecordsResponse]:
        """Streams sealed records, then the head that the chain had when the export began; the head is also logged."""
        project = current_caller().project
        problems = Problems()
        if request.after_position < 0:
            problems.add("after_position", f"must not be negative (got {request.after_position})")
        problems.check()
        recheck = self._authenticator.scope_recheck(context, EXPORT)
        start = to_datetime(request.start_time) if request.HasField("start_time") else FIRST
        end = to_datetime(request.end_time) if request.HasField("end_time") else LAST
        async with self._database.connection() as connection:
            head = await audit_seal.head(connection, project)
        for after in range(request.after_position, head.seq, EXPORT_BATCH):
            until = min(after + EXPORT_BATCH, head.seq)
            async with self._database.connection() as connection:
                entries = await audit.export(connection, project=project, after=after, until=until)
            for entry in entries:
                await recheck()  # a slow client takes a batch over a long time
                if start <= entry.time < end:
                    yield ExportAuditRecordsResponse(record=to_record(entry, with_body=True))
        log.info("audit_head", position=head.seq, hash=head.hash.hex())
        yield ExportAuditRecordsResponse(head=to_head(project, head))

    async def VerifyAudit(self, request: VerifyAuditRequest, context: Context) -> VerifyAuditResponse:
        """Computes the chain again and compares it with the anchors."""
        caller, anchors = current_caller(), _anchors(request)
        async with self._database.connection() as connection:
            verified = await verify(connection, caller.project, anchors.get(caller.project, []))
        response = VerifyAuditResponse(
            records=verified.records,
            dropped_position=verified.dropped,
            head=to_head(caller.project, verified.head),
            unsealed=verified.unsealed,
        )
        if verified.problem is not None:
            response.problem.CopyFrom(_to_problem(verified.problem))
        return response


def _key(entry: AuditEntry) -> str:
    return str(entry.id)


def _anchors(request: VerifyAuditRequest) -> dict[str, list[Head]]:
    problems, anchors = Problems(), dict[str, list[Head]]()
    if len(request.anchors) > ANCHORS_MAX:
        problems.add("anchors", at_most(ANCHORS_MAX, "anchors", len(request.anchors)))
        problems.check()
    for index, anchor in enumerate(request.anchors):
        if not HASH.fullmatch(anchor.hash):
            problems.add(f"anchors[{index}].hash", f"must be 64 hexadecimal digits {got(anchor.hash)}")
        elif anchor.position < 0:
            problems.add(f"anchors[{index}].position", f"must not be negative (got {anchor.position})")
        else:
            anchors.setdefault(anchor.project, []).append(Head(anchor.position, bytes.fromhex(anchor.hash)))
    problems.check()
    return anchors


def _to_problem(problem: Problem) -> VerifyAuditResponse.Problem:
    return VerifyAuditResponse.Problem(
        kind=VerifyAuditResponse.Kind.Value(problem.kind),
        position=problem.seq,
        record=f"auditRecords/{problem.entry}" if problem.entry is not None else "",
        message=problem.message,
    )
