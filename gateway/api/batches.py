"""Many requests in one: all or nothing, and every problem of every one at once. Source: AIP-231, AIP-233."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.api.violations import Problems, under
from ordinaut.errors import InvalidArgumentError, OrdinautError
from ordinaut.v1.error_pb2 import ErrorReason

BATCH_MAX = 1000
FIELD = "requests"
AT_ONCE = 8
Request = TypeVar("Request", bound=Message)
Outcome = TypeVar("Outcome")


class Batch(Generic[Request]):
    """The requests of one batch; problems carry paths that begin with `requests[i]`.

    Raises:
        InvalidArgumentError: there are none or too many, or one has a request_id of its own.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        problems = Problems()
        if not requests:
            problems.add(FIELD, "must hold at least one request", ErrorReason.FIELD_REQUIRED)
        if len(requests) > BATCH_MAX:
            problems.add(FIELD, f"may hold {BATCH_MAX} requests, not {len(requests)}", ErrorReason.TOO_LARGE)
            problems.check()
        for index, request in enumerate(requests):
            if request.request_id:  # type: ignore[attr-defined]  # every mutating request has one
                problems.add(f"{FIELD}[{index}].request_id", "the batch has one for all")
        problems.check()

    async def checked(self, check: Callable[[Request], Awaitable[Outcome]]) -> list[Outcome]:
        """What `check` gives for each request; eight are checked at a time.

        Raises:
            InvalidArgumentError: with every problem of every request.
            OrdinautError: the first failure of another kind.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(request: Request) -> Outcome:
            async with gate:
                return await check(request)

        outcomes = await asyncio.gather(*map(one, self._requests), return_exceptions=True)
        return self._good(outcomes)

    def _good(self, outcomes: Sequence[Outcome | BaseException]) -> list[Outcome]:
        problems, good = Problems(), []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, InvalidArgumentError):
                problems.extend(under(f"{FIELD}[{index}]", outcome.violations))
            elif isinstance(outcome, OrdinautError):
                raise replace(outcome, violations=under(f"{FIELD}[{index}]", outcome.violations))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                good.append(outcome)
        problems.check()
        return good

    def refuse_twins(self, field: str, names: Sequence[str | None]) -> None:
        """Lets a batch pass whose chosen names differ.

        Raises:
            InvalidArgumentError: naming each that stands twice.
        """
        problems, seen = Problems(), set[str]()
        for index, name in enumerate(names):
            if name in seen:
                problems.add(f"{FIELD}[{index}].{field}", f"{name} stands twice in the batch")
            elif name is not None:
                seen.add(name)
        problems.check()
