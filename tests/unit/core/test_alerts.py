"""The alert rules name metrics that the processes export, with labels that these have."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[3]
RULES = YAML(typ="safe").load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
METRIC = re.compile(r"\b(ordinaut_[a-z_]+)(?:\{([a-z_]+))?")
EXPORTING = (
    "gateway.api.calls",
    "gateway.events.watch",
    "gateway.runs.watch",
    "scheduler.metrics",
    "worker.metrics",
    "pipeline_engine.metrics",
)
OF_PROMETHEUS = {"job", "instance", "le"}


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The names of all samples of our metrics, with the labels of each."""
    for module in EXPORTING:
        importlib.import_module(module)
    known: dict[str, set[str]] = {}
    for collector in list(REGISTRY._names_to_collectors.values()):
        for name in sample_names(collector):
            known[name] = set(getattr(collector, "_labelnames", ()))
    return known


def sample_names(collector: Any) -> list[str]:
    registry: Any = REGISTRY
    return [name for name in registry._get_names(collector) if name.startswith("ordinaut_")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_uses_metrics_that_exist(rule: dict[str, Any], exported: dict[str, set[str]]) -> None:
    found = METRIC.findall(rule["expr"])
    assert found or "up{" in rule["expr"]
    for name, label in found:
        assert name in exported
        assert label in {"", *exported[name]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_groups_and_describes_by_labels_that_exist(
    rule: dict[str, Any], exported: dict[str, set[str]]
) -> None:
    known = {label for name, _ in METRIC.findall(rule["expr"]) for label in exported[name]} | OF_PROMETHEUS
    grouped = [label.strip() for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in group.split(",")]
    described = re.findall(r"\$labels\.([a-z_]+)", str(rule["annotations"]))
    assert {*grouped, *described} <= known
