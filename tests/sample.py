"""How much a test does: a sample in the suite, the whole with `make test-full` (`ORDINAUT_TEST_FULL=1`)."""

import os

FULL = bool(os.environ.get("ORDINAUT_TEST_FULL"))


def amount(variable: str, sample: int, whole: int) -> int:
    """What the environment variable says, else the sample or the whole."""
    return int(os.environ.get(variable, whole if FULL else sample))
