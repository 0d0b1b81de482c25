"""Dockerfile, Compose file and alert rules hold together; hadolint and the real Compose agree."""

import re
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from ruamel.yaml import YAML

from tests.acceptance.composed import FILES, MANAGED, PROGRAMS, ROOT, SECRETS, compose, resolved

OURS = ("gateway", "scheduler", "worker", "pipeline-engine-1", "pipeline-engine-2")
SETTINGS = ("gateway", "scheduler", "worker", "pipeline_engine")
METRICS = ("gateway.api.calls", "scheduler.metrics", "worker.metrics", "pipeline_engine.metrics")


def read(path: str) -> Any:
    return YAML(typ="safe").load(ROOT / path)


def known_settings() -> set[str]:
    """The variables that the four services read."""
    classes = [
        thing
        for service in SETTINGS
        for thing in vars(import_module(f"{service}.settings")).values()
        if hasattr(thing, "model_fields")
    ]
    return {f"ORDINAUT_{field.upper()}" for one in classes for field in one.model_fields}


def test_hadolint_finds_nothing() -> None:
    ended = subprocess.run(
        [PROGRAMS / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("files", [FILES, MANAGED], ids=["own stores", "managed stores"])
def test_compose_accepts_the_project(files: tuple[str, ...]) -> None:
    ended = compose(*files, "config", "--quiet")
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@pytest.mark.parametrize("secret", SECRETS)
def test_compose_refuses_to_start_without_a_secret(secret: str) -> None:
    ended = compose(*FILES, "config", "--quiet", environment={**SECRETS, secret: ""})
    assert ended.returncode != 0
    assert f"required variable {secret} is missing a value" in ended.stderr


def test_managed_stores_replace_the_containers() -> None:
    services = resolved(*MANAGED)["services"]
    assert not {"postgres", "redis"} & set(services)
    assert set(OURS) < set(services)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_more_rights_than_they_need(name: str) -> None:
    service = resolved(*FILES)["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_engines_reach_the_world_and_not_the_stores_the_others_the_opposite() -> None:
    project = resolved(*FILES)
    networks = {name: set(service["networks"]) for name, service in project["services"].items()}
    assert not project["networks"]["outside"].get("internal")
    assert project["networks"]["inside"]["internal"]
    assert project["networks"]["stores"]["internal"]
    for name in OURS:
        assert ("stores" in networks[name]) == ("engine" not in name)
    assert {name for name in networks if "outside" in networks[name]} == {
        "gateway", "prometheus", "pipeline-engine-1", "pipeline-engine-2",
    }  # fmt: skip


def test_only_this_host_reaches_the_published_ports() -> None:
    services = resolved(*FILES)["services"].values()
    assert {port["host_ip"] for service in services for port in service.get("ports", ())} == {"127.0.0.1"}


def test_every_variable_is_one_that_a_service_reads() -> None:
    image = set(re.findall(r"\b(ORDINAUT_\w+)=", (ROOT / "Dockerfile").read_text()))
    composed = {
        variable
        for service in resolved(*FILES)["services"].values()
        for variable in service.get("environment") or {}
        if variable.startswith("ORDINAUT_")
    }
    assert image | composed <= known_settings()
    assert len(image | composed) > 10


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert text.count("--constraint requirements.lock") == text.count("uv pip install")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]


def test_the_build_context_holds_what_the_wheels_are_made_of() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pyproject.toml", "requirements.lock", "README.md", "LICENSE", "ordinaut", "deploy"} <= allowed
    assert {Path(name).name for name in SETTINGS} <= allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_alerts_speak_of_metrics_that_exist() -> None:
    for module in METRICS:
        import_module(module)
    known = {
        name for collector in list(REGISTRY._collector_to_names) for name in REGISTRY._collector_to_names[collector]
    }
    rules = [rule for group in read("deploy/prometheus/alerts.yml")["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"\bordinaut_\w+", rule["expr"])}
    assert used <= known
    assert len(used) > 5
    assert all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in rules)


def test_prometheus_asks_each_service_at_a_name_that_compose_gives() -> None:
    jobs = read("deploy/prometheus/prometheus.yml")["scrape_configs"]
    names = {name for job in jobs for target in job["dns_sd_configs"] for name in target["names"]}
    assert names == set(OURS)
