"""What docker-compose.yml starts works: the same commands with the same environment, on stores that are elsewhere."""

import subprocess
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from ruamel.yaml import YAML

from ordinaut.client import Client
from ordinaut.embedded.postgres import SERVICES_USER, EmbeddedPostgres
from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.system_service_pb2 import GetStatusRequest, ListWorkersRequest
from tests.acceptance.composed import FILES, ROOT, SECRETS, Composition, resolved, running
from tests.acceptance.tasks import create_task, ended, get_run, run_many
from tests.patience import PATIENCE

GRPC_PORTS = {
    "gateway": 50051,
    "scheduler": 50052,
    "pipeline-engine-1": 50053,
    "pipeline-engine-2": 50053,
    "worker": 50054,
}
COUNT = 40
PIPELINE = {"version": 1, "steps": [{"id": "s", "uses": "orchestrator.set", "with": {"run": "${run.name}"}}]}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may enter: PostgreSQL may run as another."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest_asyncio.fixture
async def composition(folder: Path) -> AsyncIterator[Composition]:
    """The project on two external stores, with the role that the database's image makes for the services."""
    async with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedValkey(folder / "valkey") as valkey:
        make_roles(postgres, SERVICES_USER)
        yield Composition(postgres.services_url, valkey.url)


def make_roles(postgres: EmbeddedPostgres, role: str) -> None:
    """Does with the file in its folder what the image's entry point does."""
    project = resolved(*FILES)
    (mounted,) = project["services"]["postgres"]["configs"]
    assert mounted["target"].startswith("/docker-entrypoint-initdb.d/")
    argv = [
        str(postgres.programs / "psql"),
        "--no-psqlrc",
        "--set",
        "ON_ERROR_STOP=1",
        "--dbname",
        postgres.url,
        "--file",
    ]
    variables = {"SERVICES_USER": role, "POSTGRES_PASSWORD": SECRETS["POSTGRES_PASSWORD"]}
    subprocess.run([*argv, project["configs"][mounted["source"]]["file"]], env=variables, check=True, timeout=60)


async def test_the_services_are_no_superuser(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "postgres") as postgres:
        make_roles(postgres, SERVICES_USER)
        connection: Any = await asyncpg.connect(postgres.services_url)
        try:
            rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
            assert await connection.fetchval(f"SELECT {rights} FROM pg_roles WHERE rolname = current_user") is False
            assert await connection.fetchval(
                "SELECT pg_get_userbyid(datdba) = current_user FROM pg_database WHERE datname = current_database()"
            )
        finally:
            await connection.close()
        superuser: Any = await asyncpg.connect(postgres.url)
        try:
            passwords = dict(await superuser.fetch("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin"))
        finally:
            await superuser.close()
    assert passwords.pop(SERVICES_USER).startswith("SCRAM-SHA-256$")
    assert set(passwords.values()) == {None}


def test_the_services_connect_as_the_role_that_is_made() -> None:
    services = resolved(*FILES)["services"]
    role = services["postgres"]["environment"]["SERVICES_USER"]
    assert role != services["postgres"]["environment"]["POSTGRES_USER"]
    urls = [
        one["environment"]["ORDINAUT_DATABASE_URL"]
        for one in services.values()
        if "ORDINAUT_DATABASE_URL" in (one.get("environment") or {})
    ]
    assert len(urls) == 4
    assert {urlsplit(url).username for url in urls} == {role}


def scraped() -> dict[str, int]:
    """The port that Prometheus asks each host at."""
    settings = YAML(typ="safe").load(ROOT / "deploy/prometheus/prometheus.yml")
    targets = [target for job in settings["scrape_configs"] for target in job["dns_sd_configs"]]
    return {name: target["port"] for target in targets for name in target["names"]}


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


async def test_a_task_runs_through_what_compose_starts(composition: Composition) -> None:
    composition.run_to_end("migrate")
    token = composition.run_to_end("migrate", "ordinaut.cli", "project", "create", "default")
    services = [container for container in composition.containers if container.service != "migrate"]
    (gateway,) = composition.of("gateway")
    with running(services):
        async with Client(f"{gateway.address}:50051", token) as client:
            await create_task(client, "composed", PIPELINE)
            names = await run_many(client, "composed", COUNT)
            assert await ended(client, names, PATIENCE) == {name: ["succeeded"] for name in names}
            assert (await get_run(client, names[0])).state == Run.SUCCEEDED
            status = await client.system.GetStatus(GetStatusRequest())
            workers = (await client.system.ListWorkers(ListWorkersRequest())).workers
        assert set(status.components.values()) == {"SERVING"}
        assert len(workers) == 2
        assert "ready" in get(f"http://{gateway.address}:8080/readyz")
        for container in services:
            assert container.healthy(GRPC_PORTS[container.service])
            metrics = get(f"http://{container.address}:{scraped()[container.service]}/metrics")
            assert "ordinaut_" in metrics
    assert not gateway.healthy(GRPC_PORTS["gateway"])
