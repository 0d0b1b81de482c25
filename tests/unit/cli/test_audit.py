"""`ordinaut audit`: lists, exports and verifies; a problem is exit code 1."""

import json
from pathlib import Path

import pytest

from ordinaut.v1.audit_pb2 import AuditHead, AuditRecord
from ordinaut.v1.audit_service_pb2 import (
    ExportAuditRecordsResponse,
    ListAuditRecordsResponse,
    VerifyAuditResponse,
)
from tests.unit.cli.conftest import Cli, Gateway

HEAD = AuditHead(project="default", position=7, hash="ab" * 32)
RECORD = AuditRecord(
    name="auditRecords/9",
    agent="agents/bot",
    method="PauseTask",
    resource="tasks/t",
    outcome=AuditRecord.DENIED,
    count=3,
)
PROBLEM = VerifyAuditResponse.Problem(kind=VerifyAuditResponse.ALTERED, position=4, message="another hash")


def test_records_are_listed(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["ListAuditRecords"] = ListAuditRecordsResponse(audit_records=[RECORD])
    out = cli("audit", "list", "--filter", "outcome = DENIED").out
    assert all(cell in out for cell in ("auditRecords/9", "agents/bot", "PauseTask", "tasks/t", "DENIED", "3"))
    assert gateway.requests("ListAuditRecords")[0].filter == "outcome = DENIED"
    document = json.loads(cli("--json", "audit", "list").out)
    assert document["audit_records"][0]["name"] == "auditRecords/9"


def test_a_sound_log_is_exit_code_0(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["VerifyAudit"] = VerifyAuditResponse(records=7, head=HEAD, unsealed=2)
    result = cli("audit", "verify")
    assert result.exit_code == 0
    assert "7 records are sound up to position 7" in result.out
    assert "2 newer records are not sealed" in result.out
    assert HEAD.hash in result.out


def test_a_problem_is_exit_code_1(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["VerifyAudit"] = VerifyAuditResponse(records=3, head=HEAD, problem=PROBLEM)
    result = cli("audit", "verify")
    assert result.exit_code == 1
    assert result.out.startswith("ALTERED at position 4: another hash")
    result = cli("--json", "audit", "verify")
    assert (result.exit_code, json.loads(result.out)["problem"]["kind"]) == (1, "ALTERED")


def test_an_export_is_an_anchor(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    gateway.answers = {
        "ExportAuditRecords": [ExportAuditRecordsResponse(record=RECORD), ExportAuditRecordsResponse(head=HEAD)],
        "VerifyAudit": VerifyAuditResponse(head=HEAD),
    }
    exported = tmp_path / "audit.ndjson"
    exported.write_text(cli("audit", "export").out)
    assert len(exported.read_text().splitlines()) == 2
    assert cli("audit", "verify", "--anchor", str(exported)).exit_code == 0
    assert list(gateway.requests("VerifyAudit")[0].anchors) == [HEAD]


def test_a_log_of_the_scheduler_is_an_anchor(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    gateway.answers["VerifyAudit"] = VerifyAuditResponse(head=HEAD)
    line = {"event": "audit_head", "project": "default", "position": 7, "hash": "ab" * 32, "level": "info"}
    log = tmp_path / "scheduler.log"
    log.write_text(f"not JSON\n{json.dumps(line)}\n" + json.dumps({"event": "ready"}) + "\n")
    assert cli("audit", "verify", "--anchor", str(log)).exit_code == 0
    assert list(gateway.requests("VerifyAudit")[0].anchors) == [HEAD]


@pytest.mark.parametrize("text", ["", '{"event": "ready"}', '{"hash": 1', '{"hash": "x", "position": "y"}'])
def test_a_file_without_a_head_is_no_anchor(cli: Cli, gateway: Gateway, tmp_path: Path, text: str) -> None:
    path = tmp_path / "anchor"
    path.write_text(text)
    result = cli("audit", "verify", "--anchor", str(path))
    assert result.exit_code == 2
    assert not gateway.asked
