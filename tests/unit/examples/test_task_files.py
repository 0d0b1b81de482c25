"""The task files are valid, and the broken one has the documented mistakes."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict

import ordinaut.store
from examples.morning_briefing.almanac_agent import OFFER as ALMANAC
from examples.morning_briefing.calendar_agent import DEFAULT_FILE, Agenda
from examples.morning_briefing.calendar_agent import offer as calendar_offer
from examples.morning_briefing.mail_agent import offer as mail_offer
from examples.morning_briefing.maildir import OnceOnlyMaildir
from examples.morning_briefing.tasks import create_request, load
from ordinaut.v1.task_service_pb2 import CreateTaskRequest
from pipeline_engine.language.findings import Findings
from pipeline_engine.language.parse import parse
from pipeline_engine.validation.context import ValidationContext
from pipeline_engine.validation.pipeline import check

BUILT_IN = Path(ordinaut.store.__file__).with_name("builtin_tools.json")


def findings_of(task: dict[str, Any], mailbox: Path) -> Findings:
    offers = [calendar_offer(Agenda(DEFAULT_FILE.read_bytes())), ALMANAC, mail_offer(OnceOnlyMaildir(mailbox))]
    tools = {tool["name"]: tool for tool in json.loads(BUILT_IN.read_text())}
    tools |= {
        offer.name: {"input_schema": offer.input_schema, "output_schema": offer.output_schema} for offer in offers
    }
    findings = Findings()
    document = parse(orjson.dumps(task["pipeline"]), findings)
    assert document is not None
    check(document, ValidationContext(tools, params=tuple(task.get("params", {})), params_closed=True), findings)
    return findings


@pytest.mark.parametrize("name", ["briefing", "follow_up"])
def test_a_task_file_has_no_problem_and_no_warning(name: str, tmp_path: Path) -> None:
    findings = findings_of(load(name), tmp_path)
    assert (findings.violations, findings.warnings) == ([], [])


@pytest.mark.parametrize("name", ["briefing", "follow_up", "broken"])
def test_a_task_file_is_a_message_of_the_contract(name: str) -> None:
    request = ParseDict(create_request(load(name)), CreateTaskRequest())
    assert request.task.name == f"tasks/{request.task_id}"


def test_the_broken_task_has_its_mistakes_with_fixes(tmp_path: Path) -> None:
    found = findings_of(load("broken"), tmp_path).violations
    assert [violation.field for violation in found] == ["steps[0].uses", "steps[1].uses", "steps[3].with.subject"]
    assert all(violation.repair for violation in found)
