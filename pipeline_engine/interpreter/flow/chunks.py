"""Chunks of a long loop: the outputs of each thousand iterations are recorded together when all of them have ended.

The entry is `<path>.chunk[n]`. With it, a resumed run needs neither the iterations of the chunk nor their entries, and
the store leaves these out (`due_work_claim.journal_of`). Iterations that have failed are not part of it: a retry of the
run repeats them.
"""

from collections.abc import Collection, Sequence
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.journal import SUCCEEDED
from pipeline_engine.interpreter.strand import Strand

CHUNK = 1000
"""Iterations of one chunk; the query of journals has the same number."""


class Chunks:
    """The chunks of one loop of `count` iterations.

    `recorded` are the outputs by index that earlier segments have recorded in chunks; `pending` are the other indices.
    """

    def __init__(self, strand: Strand, path: str, count: int) -> None:
        self._strand = strand
        self._path = path
        self._open: dict[int, int] = {}
        self.recorded: dict[int, Any] = {}
        for number in range(-(-count // CHUNK) if count > CHUNK else 0):
            first = number * CHUNK
            entry = strand.run.journal.recorded.get(self._entry_path(number))
            if entry is None:
                self._open[number] = min(CHUNK, count - first)
            else:
                chunk = orjson.loads(entry.output)
                outputs = enumerate(chunk["outputs"][: count - first], first)
                self.recorded.update((index, output) for index, output in outputs if index not in chunk["failed"])
        self.pending: Sequence[int] = [index for index in range(count) if index not in self.recorded]

    def end(self, index: int, outputs: Sequence[Any], failed: Collection[int | str]) -> None:
        """Counts an iteration that has ended; records its chunk if it was the last one of it."""
        number = index // CHUNK
        if number not in self._open:
            return
        self._open[number] -= 1
        if self._open[number] == 0:
            del self._open[number]
            if self._open:  # else the entry of the loop follows
                self._record(number, outputs, failed)

    def _record(self, number: int, outputs: Sequence[Any], failed: Collection[int | str]) -> None:
        first = number * CHUNK
        inside = outputs[first : first + CHUNK]
        results = [None if index in failed else output for index, output in enumerate(inside, first)]
        missing = [index for index in range(first, first + len(results)) if index in failed]
        body = self._strand.limited(orjson.dumps({"outputs": results, "failed": missing}))
        if isinstance(body, Failure):  # the chunk only saves work; without room for it, the iterations are visited
            return
        now_us = self._strand.run.now_us()
        path = self._entry_path(number)
        entry = JournalEntry(path=path, attempt=1, state=SUCCEEDED, output=body, start_us=now_us, end_us=now_us)
        self._strand.run.journal.add(entry, barrier=False)

    def _entry_path(self, number: int) -> str:
        return f"{self._path}.chunk[{number}]"
