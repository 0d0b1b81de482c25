"""Whether the process beside this one serves: `probe.py [HOST:PORT]`, the health check of a container.

Without an address it finds out which of the four processes runs as the container's first, by its own settings.
"""

import sys
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SECONDS = 3.0
PORTS = {"gateway": 50051, "scheduler": 50052, "pipeline_engine": 50053, "worker": 50054}


def address(arguments: list[str], first_process: bytes) -> str:
    """Where to ask: the address given, else the default port of the process whose command line this is.

    Raises:
        SystemExit: it is none of the four.
    """
    if arguments:
        return arguments[0]
    for word in first_process.decode(errors="replace").split("\0"):
        if word in PORTS:
            return f"127.0.0.1:{PORTS[word]}"
    raise SystemExit("the container's first process is no service of Ordinaut: name an address")


def serves(where: str) -> bool:
    """Whether the standard health service there answers SERVING in time."""
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
