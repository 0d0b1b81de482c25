"""The reference rate: pgbench claims and completes 100 rows per transaction with two clients on the same server."""

import asyncio
import re
from pathlib import Path

HERE = Path(__file__).parent
TRANSACTIONS = 500  # per client; two clients with 100 rows each use half of the 200 000 rows
ROWS = 100  # per transaction


async def floor_rate(programs: Path, database_url: str) -> float:
    """Rows per second through claim-100 and complete-100; `programs` is the folder of psql and pgbench.

    Raises:
        RuntimeError: one of the programs failed, or its output has no rate.
    """
    await _run(programs / "psql", "-q", "-f", str(HERE / "floor_setup.sql"), database_url)
    output = await _run(
        programs / "pgbench", "-n", "-c", "2", "-j", "2", "-t", str(TRANSACTIONS), "-M", "prepared",
        "-f", str(HERE / "floor.sql"), database_url,
    )  # fmt: skip
    rate = re.search(r"tps = ([\d.]+)", output)
    if rate is None:
        raise RuntimeError(f"pgbench printed no transaction rate: {output}")
    return float(rate[1]) * ROWS


async def _run(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed with exit code {process.returncode}: {output.decode()}")
    return output.decode()
