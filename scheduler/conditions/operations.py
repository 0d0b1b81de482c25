"""What the scheduler's child processes can do."""

from collections.abc import Callable, Mapping

from scheduler.conditions.evaluate import evaluate

EVALUATE = 0
OPERATIONS: Mapping[int, Callable[[bytes], bytes]] = {EVALUATE: evaluate}
