"""Ports and environment variables of the services on one machine."""

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ordinaut.embedded.data_key import FILE
from ordinaut.embedded.ports import LOOPBACK, Port
from ordinaut.limits import ENGINE_PORT, GRPC_PORT, METRICS_PORTS, REST_PORT, SCHEDULER_PORT, WORKER_PORT

SECRETS = "secrets"
PREFIX = {"gateway": "GATEWAY", "scheduler": "SCHEDULER", "pipeline_engine": "ENGINE", "worker": "WORKER"}


@dataclass(frozen=True)
class Replica:
    """One process of a service, with the ports for gRPC and metrics."""

    service: str
    number: int
    listen: Port
    metrics: Port


@dataclass(frozen=True)
class Layout:
    """All replicas on this machine, in display order, and the REST port."""

    replicas: Sequence[Replica]
    rest: Port

    @classmethod
    def take(cls, stack: ExitStack, grpc: int | None, rest: int | None, workers: int, engines: int) -> Self:
        """Reserves the default ports, or free ones if those are in use; `stack` releases them.

        `grpc` and `rest` select exact ports (0: any free port) unless None.

        Raises:
            PortTakenError: a selected port is in use.
        """

        def reserve(number: int | None, default: int) -> Port:
            port = Port.prefer(default) if number is None else Port.take(number)
            stack.callback(port.close)
            return port

        def replica(service: str, number: int, listen: Port) -> Replica:
            return Replica(service, number, listen, reserve(None, METRICS_PORTS[service] if number == 1 else 0))

        gateway = replica("gateway", 1, reserve(grpc, GRPC_PORT))
        rest_port = reserve(rest, REST_PORT)
        scheduler = replica("scheduler", 1, reserve(None, SCHEDULER_PORT))
        scaled = [("pipeline_engine", ENGINE_PORT, engines), ("worker", WORKER_PORT, workers)]
        replicas = [
            replica(service, number, reserve(None, port if number == 1 else 0))
            for service, port, count in scaled
            for number in range(1, count + 1)
        ]
        return cls([gateway, scheduler, *replicas], rest_port)

    def of(self, service: str) -> list[Replica]:
        """The replicas of one service."""
        return [replica for replica in self.replicas if replica.service == service]

    @property
    def grpc(self) -> Port:
        """The port of the public gRPC API."""
        return self.of("gateway")[0].listen


def shared_environment(layout: Layout, folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """Environment variables of all services, based on the environment of this process.

    Secrets are read from `folder/secrets` unless ORDINAUT_SECRETS_DIR is set, and the data keys from `folder/data.key`
    unless ORDINAUT_DATA_KEY_FILE is set. Tools on this machine may be called,
    except at the ports of the services, so that a pipeline cannot call internal methods.
    """
    own = [layout.rest, *(port for replica in layout.replicas for port in (replica.listen, replica.metrics))]
    return {
        "ORDINAUT_SECRETS_DIR": str(folder / SECRETS),
        "ORDINAUT_DATA_KEY_FILE": str(folder / FILE),
        **os.environ,
        "ORDINAUT_DATABASE_URL": database_url,
        "ORDINAUT_REDIS_URL": redis_url,
        "ORDINAUT_SCHEDULER_ADDRESS": layout.of("scheduler")[0].listen.address,
        "ORDINAUT_ENGINE_ADDRESSES": ",".join(engine.listen.address for engine in layout.of("pipeline_engine")),
        "ORDINAUT_INTERNAL_TOKEN": secrets.token_urlsafe(32),
        "ORDINAUT_METRICS_HOST": LOOPBACK,
        "ORDINAUT_EGRESS_ALLOW": _with_own("ORDINAUT_EGRESS_ALLOW", ["127.0.0.0/8", "::1/128"]),
        "ORDINAUT_EGRESS_DENY": _with_own("ORDINAUT_EGRESS_DENY", [f"127.0.0.0/8:{port.number}" for port in own]),
    }


def _with_own(variable: str, own: Sequence[str]) -> str:
    users = os.environ.get(variable, "")
    return ",".join([*([users] if users else []), *own])


def replica_environment(shared: Mapping[str, str], layout: Layout, replica: Replica) -> dict[str, str]:
    """Environment variables of one process."""
    prefix = PREFIX[replica.service]
    return {
        **shared,
        "ORDINAUT_REST_LISTEN": layout.rest.address,
        f"ORDINAUT_{prefix}_LISTEN": replica.listen.address,
        f"ORDINAUT_{prefix}_METRICS_PORT": str(replica.metrics.number),
    }
