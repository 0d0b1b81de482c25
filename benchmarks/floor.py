"""The floor: pgbench claims and completes a hundred rows at a time, with two clients, on the same server."""

import asyncio
import re
from pathlib import Path

HERE = Path(__file__).parent
TRANSACTIONS = 500  # a client: with two clients and 100 rows each, half of the 200 000 rows
ROWS = 100


async def floor_rate(programs: Path, database_url: str) -> float:
    """Rows a second through claim-100 and complete-100."""
    await _run(programs / "psql", "-q", "-f", str(HERE / "floor_setup.sql"), database_url)
    said = await _run(
        programs / "pgbench", "-n", "-c", "2", "-j", "2", "-t", str(TRANSACTIONS), "-M", "prepared",
        "-f", str(HERE / "floor.sql"), database_url,
    )  # fmt: skip
    rate = re.search(r"tps = ([\d.]+)", said)
    if rate is None:
        raise RuntimeError(f"pgbench said: {said}")
    return float(rate[1]) * ROWS


async def _run(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(said.decode())
    return said.decode()
