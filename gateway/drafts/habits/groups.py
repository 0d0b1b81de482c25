"""The groups of habits, in the order in which they are applied."""

from gateway.drafts.habits.context import Work


def normalise(work: Work) -> None:
    """Rewrites what is written in another form; a valid document is not changed."""
