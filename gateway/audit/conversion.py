"""Converts stored audit records to API messages."""

from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value

from gateway.api.json_values import timestamp
from ordinaut.store.audit import AuditEntry
from ordinaut.store.audit_seal import Head
from ordinaut.v1.audit_pb2 import AuditHead, AuditRecord

TEXTS = ("agent", "agent_uid", "token", "address", "user_agent", "method", "request_id", "resource", "reason")


def to_record(entry: AuditEntry, *, with_body: bool = False) -> AuditRecord:
    """Converts a record; `with_body` adds the text that its hash is computed from."""
    content: dict[str, Any] = orjson.loads(entry.body) if entry.body is not None else {}
    message = AuditRecord(
        name=f"auditRecords/{entry.id}",
        time=timestamp(entry.time),
        issuers=content.get("issuers", ()),
        count=content.get("count", 0),
        outcome=AuditRecord.Outcome.Value(content.get("outcome", "OUTCOME_UNSPECIFIED")),
        body_hash=entry.body_hash.hex(),
        position=entry.seq or 0,
        hash=entry.hash.hex() if entry.hash else "",
        body=(entry.body or "") if with_body else "",
        erased=entry.body is None,
        **{name: content.get(name, "") for name in TEXTS},
    )
    for name in ("before", "after"):
        if content.get(name) is not None:
            getattr(message, name).CopyFrom(json_format.ParseDict(content[name], Value()))
    return message


def to_head(project: str, head: Head) -> AuditHead:
    """Converts the head of a chain."""
    return AuditHead(project=project, position=head.seq, hash=head.hash.hex())
