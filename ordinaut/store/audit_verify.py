"""Computes the chain of a project's audit records again and finds the first record that is not as it was sealed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ordinaut.store.audit_seal import Head, genesis, link
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
BATCH = 2_000
NEARBY = 50  # positions in which records that have changed places are searched for
SEAL_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Problem:
    """The first problem of a chain; `kind` as in the API; `seq` is 0 for a record that is not sealed."""

    kind: str
    seq: int
    entry: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a chain is sound: up to `head`, over `records`, from `dropped` on; `unsealed` records are outside."""

    records: int
    dropped: int
    head: Head
    unsealed: int
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class _Sealed:
    seq: int
    entry: int
    hash: bytes
    time: datetime | None
    body_hash: bytes | None
    altered: bool | None


async def verify(connection: Connection, project: str, anchors: Sequence[Head] = ()) -> Verified:
    """Verifies the chain of a project against itself and against heads that were kept elsewhere.

    Records that are dropped are not compared with anchors before them. Costs about 10 µs a record.
    """
    extent = await SQL.extent.row(connection, project=project)
    start = Head(extent["dropped"], extent["dropped_hash"] or genesis(project))
    chain = _Chain(start, {anchor.seq: anchor.hash for anchor in anchors})
    problem = chain.compare(start) if start.seq in chain.anchors else None
    at = start.seq
    while problem is None and at < extent["last"]:
        rows = await SQL.sealed.rows(connection, project=project, after=at, until=at + BATCH)
        problem = chain.extend([_Sealed(**row) for row in rows], min(at + BATCH, extent["last"]))
        at += BATCH
    problem = problem or chain.missing_end() or await _overdue(connection, project)
    return Verified(chain.head.seq - start.seq, start.seq, chain.head, extent["unsealed"], problem)


class _Chain:
    """The chain as far as it has been verified."""

    def __init__(self, start: Head, anchors: Mapping[int, bytes]) -> None:
        self.head = start
        self.anchors = anchors

    def extend(self, rows: Sequence[_Sealed], last: int) -> Problem | None:
        """Verifies the next seals, which should reach up to position `last`."""
        for place, row in enumerate(rows):
            if row.seq != self.head.seq + 1:
                break
            if problem := self._check(row, rows[max(place - NEARBY, 0) : place + NEARBY]):
                return problem
            self.head = Head(row.seq, row.hash)
            if row.seq in self.anchors and (problem := self.compare(self.head)):
                return problem
        if self.head.seq < last:
            return Problem("MISSING", self.head.seq + 1, None, f"no seal has position {self.head.seq + 1}")
        return None

    def compare(self, head: Head) -> Problem | None:
        """Compares a head with the anchor of the same position."""
        if self.anchors[head.seq] == head.hash:
            return None
        return Problem("ALTERED", head.seq, None, "the chain up to here is another one than that of the anchor")

    def missing_end(self) -> Problem | None:
        """A problem if an anchor is beyond the end of the chain."""
        beyond = max(self.anchors, default=0)
        if beyond <= self.head.seq:
            return None
        message = f"the chain ends at position {self.head.seq}, and an anchor has position {beyond}"
        return Problem("MISSING", self.head.seq + 1, None, message)

    def _check(self, row: _Sealed, nearby: Sequence[_Sealed]) -> Problem | None:
        expected = self._link(row)
        if expected == row.hash and not row.altered:
            return None
        if expected is None:
            return Problem("MISSING", row.seq, row.entry, f"record {row.entry} is not there")
        if expected != row.hash and self._has_moved(row, nearby):
            return Problem("REORDERED", row.seq, row.entry, "another record was sealed at this position")
        what = "the content of the record" if row.altered else "the record or its seal"
        return Problem("ALTERED", row.seq, row.entry, f"{what} does not have the hash with which it was sealed")

    def _link(self, row: _Sealed) -> bytes | None:
        if row.time is None or row.body_hash is None:
            return None
        return link(self.head.hash, row.seq, row.entry, row.time, row.body_hash)

    def _has_moved(self, row: _Sealed, nearby: Sequence[_Sealed]) -> bool:
        """Whether the chain continues with a record, or with the content of a record, that is now elsewhere."""
        sealed = {neighbour.hash for neighbour in nearby}
        return any(self._link(candidate) in sealed for candidate in _moved(row, nearby))


def _moved(row: _Sealed, nearby: Sequence[_Sealed]) -> Iterator[_Sealed]:
    for neighbour in nearby:
        if neighbour is not row:
            yield replace(neighbour, seq=row.seq)
            yield replace(row, time=neighbour.time, body_hash=neighbour.body_hash)
            yield replace(row, body_hash=neighbour.body_hash)


async def _overdue(connection: Connection, project: str) -> Problem | None:
    row = await SQL.overdue.row(connection, project=project, age=SEAL_WITHIN)
    if row is None:
        return None
    message = f"record {row['id']} of {row['time'].isoformat()} must be sealed within {SEAL_WITHIN.seconds} s"
    return Problem("UNSEALED", 0, row["id"], message)
