"""Batches of requests: all or nothing, with the violations of every request in one error. Source: AIP-231, AIP-233."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from google.protobuf.message import Message

from gateway.api.violations import Problems, at_most, under
from ordinaut.errors import InvalidArgumentError, OrdinautError
from ordinaut.v1.error_pb2 import ErrorReason

BATCH_MAX = 1000
FIELD = "requests"
CONCURRENT_CHECKS = 8
Request = TypeVar("Request", bound=Message)
Checked = TypeVar("Checked")


class Batch(Generic[Request]):
    """The requests of one batch; paths of violations begin with `requests[i]`.

    Raises:
        InvalidArgumentError: the batch is empty or too large, or one of its requests has a request_id.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        problems = Problems()
        if not requests:
            problems.add(FIELD, "must contain at least one request", ErrorReason.FIELD_REQUIRED)
        if len(requests) > BATCH_MAX:
            problems.add(FIELD, at_most(BATCH_MAX, "requests", len(requests)), ErrorReason.TOO_LARGE)
            problems.check()
        for index, request in enumerate(requests):
            if request.request_id:  # type: ignore[attr-defined]  # every mutating request has one
                problems.add(f"{FIELD}[{index}].request_id", "must be empty: set the request_id of the batch")
        problems.check()

    async def checked(self, check: Callable[[Request], Awaitable[Checked]]) -> list[Checked]:
        """Returns the result of `check` for each request; eight are checked at a time.

        Raises:
            InvalidArgumentError: with the violations of all requests.
            OrdinautError: the first failure of another kind.
        """
        semaphore = asyncio.Semaphore(CONCURRENT_CHECKS)

        async def limited(request: Request) -> Checked:
            async with semaphore:
                return await check(request)

        outcomes = await asyncio.gather(*map(limited, self._requests), return_exceptions=True)
        return self._results(outcomes)

    def _results(self, outcomes: Sequence[Checked | BaseException]) -> list[Checked]:
        problems, results = Problems(), []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, InvalidArgumentError):
                problems.extend(under(f"{FIELD}[{index}]", outcome.violations))
            elif isinstance(outcome, OrdinautError):
                raise replace(outcome, violations=under(f"{FIELD}[{index}]", outcome.violations))
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                results.append(outcome)
        problems.check()
        return results

    def refuse_duplicates(self, field: str, names: Sequence[str | None]) -> None:
        """Requires that the ids that callers chose are distinct; None is ignored.

        Raises:
            InvalidArgumentError: with a violation for each repetition.
        """
        problems, distinct = Problems(), set[str]()
        for index, name in enumerate(names):
            if name in distinct:
                problems.add(f"{FIELD}[{index}].{field}", f"must be unique in the batch (got {name!r} again)")
            elif name is not None:
                distinct.add(name)
        problems.check()
