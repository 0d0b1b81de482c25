"""The events that ended waits of a run: within one line of steps, an event ends one wait."""

from collections import defaultdict
from collections.abc import Iterable, Set
from typing import Any

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.interpreter.journal import SUCCEEDED, containers_of

EVENT = "orchestrator.wait_event"
MAX_POSITION = 2**63
Positions = frozenset[int]
NO_POSITIONS: Positions = frozenset()


class TakenEvents:
    """Positions in the log of the events that ended waits, by the path of each step that holds such a wait."""

    __slots__ = ("_positions",)

    def __init__(self, recorded: Iterable[JournalEntry]) -> None:
        self._positions: defaultdict[str, set[int]] = defaultdict(set)
        for entry in recorded:
            if entry.tool == EVENT and entry.state == SUCCEEDED and entry.output:
                self.add(entry.path, positions_in(orjson.loads(entry.output)))

    def add(self, path: str, positions: Positions) -> None:
        """Notes what ended the wait of that path."""
        for container in containers_of(path):
            self._positions[container] |= positions

    def inside(self, path: str) -> Set[int]:
        """What ended the waits inside of a step: in its branches, iterations and handlers."""
        return self._positions.get(path, NO_POSITIONS)


def positions_in(event: Any) -> Positions:
    """The position of an event in the log; none if it comes from a mock that does not have one.

    >>> positions_in({"topic": "order.done", "position": 41})
    frozenset({41})
    """
    position = event.get("position") if type(event) is dict else None
    return frozenset((position,)) if type(position) is int and 0 < position < MAX_POSITION else NO_POSITIONS
