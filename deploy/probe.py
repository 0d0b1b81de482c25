"""Health check of a container: `probe.py [HOST:PORT]`.

Without an address it derives the default port from the command line of the first process of the container.
"""

import sys
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 3.0
PORTS = {"gateway": 50051, "scheduler": 50052, "pipeline_engine": 50053, "worker": 50054}


def address(arguments: list[str], first_process: bytes) -> str:
    """The address in the arguments, else the default port of the service in the command line `first_process`.

    Raises:
        SystemExit: the command line is not that of a service.
    """
    if arguments:
        return arguments[0]
    for word in first_process.decode(errors="replace").split("\0"):
        if word in PORTS:
            return f"127.0.0.1:{PORTS[word]}"
    raise SystemExit("the first process of the container is not a known service; pass HOST:PORT")


def serves(where: str) -> bool:
    """Whether the health service at this address responds SERVING within SECONDS."""
    with grpc.insecure_channel(where) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
        except grpc.RpcError as failure:
            sys.stderr.write(f"{where}: {failure}\n")
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if serves(address(sys.argv[1:], Path("/proc/1/cmdline").read_bytes())) else 1)
