"""Executes the engine's operations in a thread, as its child processes do, without starting one for each test."""

import asyncio

from pipeline_engine.processes.operations import OPERATIONS


class ThreadPool:
    """Has no deadline, because a thread cannot be ended."""

    async def run(self, operation: int, request: bytes, cpu_seconds: float, seconds: float) -> bytes:
        return await asyncio.to_thread(OPERATIONS[operation], request)

    async def close(self) -> None:
        return None
