r"""The keys that page tokens of ListRunSteps carry: `<seq>\n<attempt>\n<path>`."""

from ordinaut.store.run import StepKey, StepRecord


def read_step_key(text: str) -> StepKey:
    r"""The place in the order of a run's steps; empty: before the first one.

    >>> read_step_key("7\n1\nloop[3].b")
    StepKey(seq=7, path='loop[3].b', attempt=1)
    """
    if not text:
        return StepKey()
    seq, attempt, path = text.split("\n", 2)
    return StepKey(int(seq), path, int(attempt))


def write_step_key(record: StepRecord) -> str:
    """The key of a step."""
    key = record.key
    return f"{key.seq}\n{key.attempt}\n{key.path}"
