"""Token buckets: how often something may happen for each agent, project or address, in this process."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from gateway.admission.quotas import exceeded
from ordinaut.quotas import BURST_SECONDS, Limit

BUCKETS_MAX = 10_000


@dataclass(slots=True)
class _Bucket:
    remaining: float
    updated: float


class Rates:
    """A bucket for each quota and subject; it is full after ten seconds without use. The oldest buckets are dropped."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def take(self, name: str, limit: Limit, *, agent: str, project: str, count: int = 1) -> None:
        """Counts `count` uses of an agent, or refuses all of them.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED, with the time after which there is room.
        """
        wanted = [
            (f"{project}/agents/{agent}", f"agents/{agent}", limit.agent),
            (project, f"projects/{project}", limit.project),
        ]
        for key, subject, rate in wanted:
            if rate is not None:
                self.require(name, rate, key, subject, count)
        for key, _, rate in wanted:
            if rate is not None:
                self._bucket(name, rate, key).remaining -= count

    def take_from(self, name: str, rate: int, address: str) -> None:
        """Counts one use of a client address.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        self.require(name, rate, address, address, 1)
        self._bucket(name, rate, address).remaining -= 1

    def require(self, name: str, rate: int, key: str, subject: str, count: int) -> None:
        """Requires room for `count` uses, or a full bucket.

        Raises:
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        bucket, burst = self._bucket(name, rate, key), rate * BURST_SECONDS
        if bucket.remaining < min(count, burst):
            wait = (min(count, burst) - bucket.remaining) / max(rate, 0.001)
            used = rate - round((bucket.remaining - count) / BURST_SECONDS)
            raise exceeded(name, rate, max(used, rate), subject, retry_after=min(wait, 60.0))

    def used(self, name: str, rate: int, key: str) -> int:
        """Returns the uses per second, on average over about ten seconds."""
        return round(rate - self._bucket(name, rate, key).remaining / BURST_SECONDS)

    def _bucket(self, name: str, rate: int, key: str) -> _Bucket:
        now, burst = time.monotonic(), rate * BURST_SECONDS
        bucket = self._buckets.get((name, key))
        if bucket is None:
            bucket = self._buckets[name, key] = _Bucket(burst, now)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
            return bucket
        bucket.remaining = min(burst, bucket.remaining + (now - bucket.updated) * rate)
        bucket.updated = now
        self._buckets.move_to_end((name, key))
        return bucket
