"""Projects on the command line."""

import json

import pytest

from ordinaut.v1.project_pb2 import Project
from ordinaut.v1.project_service_pb2 import EraseSubjectResponse, ExportProjectResponse, ListProjectsResponse
from tests.unit.cli.conftest import Cli, Gateway


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDINAUT_DATABASE_URL", raising=False)


def test_a_project_is_created_listed_and_read(cli: Cli, gateway: Gateway) -> None:
    project = Project(name="projects/pay", state=Project.ACTIVE, admin_token="ord_1_2")
    gateway.answers = {
        "CreateProject": project,
        "GetProject": project,
        "ListProjects": ListProjectsResponse(projects=[project]),
    }
    assert cli("project", "create", "projects/pay").out == "ord_1_2\n"
    assert json.loads(cli("project", "create", "pay", "--json").out) == {"project": "pay", "token": "ord_1_2"}
    assert [request.project_id for request in gateway.requests("CreateProject")] == ["pay", "pay"]
    for command in (("list",), ("get", "pay")):
        assert "ACTIVE" in cli("project", *command).out
    assert gateway.requests("GetProject")[0].name == "projects/pay"


def test_a_deletion_is_confirmed(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["DeleteProject"] = Project(name="projects/pay", state=Project.DELETING)
    assert cli("project", "delete", "pay").exit_code == 1
    assert not gateway.requests("DeleteProject")
    assert "DELETING" in cli("project", "delete", "pay", "--yes").out


def test_an_export_is_lines_of_json(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["ExportProject"] = [ExportProjectResponse(table="agent"), ExportProjectResponse(table="task")]
    lines = cli("project", "export", "pay").out.splitlines()
    assert [json.loads(line)["table"] for line in lines] == ["agent", "task"]


def test_an_erasure_counts_first_and_continues_to_the_end(cli: Cli, gateway: Gateway) -> None:
    """Exit code 1 says that something which is in use was left."""
    pages = [EraseSubjectResponse(erased={"runs": 2}, next_page_token="x"), EraseSubjectResponse(erased={"runs": 1})]
    gateway.queue["EraseSubject"] = [*pages]
    counted = cli("project", "erase", "--subject", "ann@example.org", "--json")
    assert (counted.exit_code, json.loads(counted.out)) == (0, {"would_erase": {"runs": 3}, "in_use": []})
    assert [(item.validate_only, item.page_token) for item in gateway.requests("EraseSubject")] == [
        (True, ""),
        (True, "x"),
    ]
    gateway.answers["EraseSubject"] = EraseSubjectResponse(erased={"events": 1}, in_use=["tasks/letters"])
    erased = cli("project", "erase", "--subject", "ann@example.org", "--yes")
    assert erased.exit_code == 1
    assert "ERASED" in erased.out
    assert "tasks/letters" in erased.err
    assert not gateway.requests("EraseSubject")[-1].validate_only
