"""`ordinaut task explain`: the request and the printed explanation."""

import json

from ordinaut.v1.explanation_pb2 import OccurrenceExplanation
from tests.unit.cli.conftest import Cli, Gateway

ANSWER = OccurrenceExplanation(verdict=OccurrenceExplanation.LATE, explanation="It is late. No scheduler answers.")


def test_a_time_is_explained(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"ExplainOccurrence": ANSWER}
    said = cli("task", "explain", "mirror", "--at", "2026-03-01T07:30:00+02:00", "--language", "ro").out
    assert said == "LATE: It is late. No scheduler answers.\n"
    [request] = gateway.requests("ExplainOccurrence")
    assert (request.name, request.language, request.time.ToJsonString()) == (
        "tasks/mirror", "ro", "2026-03-01T05:30:00Z",
    )  # fmt: skip


def test_without_a_time_the_server_chooses(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"ExplainOccurrence": ANSWER}
    assert json.loads(cli("--json", "task", "explain", "tasks/mirror").out)["verdict"] == "LATE"
    assert not gateway.requests("ExplainOccurrence")[0].HasField("time")


def test_a_malformed_time_is_rejected(cli: Cli) -> None:
    assert cli("task", "explain", "mirror", "--at", "yesterday").exit_code == 2
